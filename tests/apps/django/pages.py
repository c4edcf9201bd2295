"""A front page, and Django's own login."""

from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.urls import path


def front(request):
    if request.user.is_authenticated:
        return HttpResponse(f"<h1>Hello {request.user.username}</h1>")
    return HttpResponse('<h1>Front page</h1><a id="login" href="/login/?next=/">Log in</a>')


urlpatterns = [
    path("", front),
    path("ready", lambda request: HttpResponse("ready")),
    path("login/", LoginView.as_view(template_name="login.html")),
]
