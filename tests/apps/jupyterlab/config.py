"""What JupyterLab in a container is started with."""

c = get_config()  # noqa: F821
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
