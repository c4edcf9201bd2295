"""A service with FastAPI's docs page, whose assets are served here and not from a content network."""

import os

from fastapi import FastAPI, WebSocket
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

app = FastAPI(title="Items", docs_url=None, redoc_url=None)
app.mount("/static", StaticFiles(directory=os.environ["SWAGGER_UI"]))


@app.get("/docs", include_in_schema=False)
def docs():
    return get_swagger_ui_html(
        openapi_url=app.openapi_url,
        title=app.title,
        swagger_js_url="/static/swagger-ui-bundle.js",
        swagger_css_url="/static/swagger-ui.css",
        swagger_favicon_url="/static/favicon-32x32.png",
    )


@app.get("/items/{number}")
def item(number: int, colour: str = "green"):
    return {"number": number, "colour": colour}
