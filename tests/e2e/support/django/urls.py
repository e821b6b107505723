import json

from django.contrib.auth.views import LoginView
from django.http import JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.decorators import protected_resource


# Without the metadata the toolkit answers a wrong token with a bare 403.
@protected_resource(scopes=["read"], advertise_metadata=True)
def me(request):
    return JsonResponse({"user": name_of(request)})


@csrf_exempt
@protected_resource(scopes=["write"], advertise_metadata=True)
def orders(request):
    return JsonResponse({"user": name_of(request), "order": json.loads(request.body)}, status=201)


def name_of(request):
    """Nobody stands behind a token that a client got for itself."""
    return request.resource_owner.username if request.resource_owner else None


urlpatterns = [
    path("login/", LoginView.as_view(template_name="login.html")),
    path("oauth/", include("oauth2_provider.urls")),
    path("api/me", me),
    path("api/orders", orders),
]
