"""What JupyterLab in a container is started with: no browser, and no kernels that outlive their page's test."""

c = get_config()  # noqa: F821
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
