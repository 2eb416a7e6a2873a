"""The addresses of users. Where reading and changing share one, both views stand behind it."""

from django.urls import path

from users import account_command_views as account
from users import command_views as commands
from users import query_views as queries


class UserResource(queries.UserQuery, commands.UserCommands):
    """One user."""


urlpatterns = [
    # What is asked most comes first: addresses are tried in turn.
    path("users/<int:user_id>", UserResource.as_view(), name="user"),
    path("users", commands.UserRegistration.as_view(), name="users"),
    path("users/<int:user_id>/deactivate", commands.UserDeactivation.as_view()),
    path("users/<int:user_id>/erase", commands.UserErasure.as_view()),
    path("account", queries.AccountQuery.as_view(), name="account"),
    path("account/password", account.AccountPassword.as_view()),
    path("account/email", account.AccountEmail.as_view()),
    path("auth/login", commands.LogIn.as_view()),
    path("auth/logout", commands.LogOut.as_view()),
    path("auth/logout-all", commands.LogOutEverywhere.as_view()),
]
