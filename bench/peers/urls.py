"""The same order read in three ways: by the ORM, from Django's cache, and through django-cacheops."""

from django.urls import path

from bench.peers import views

urlpatterns = [
    path("orm/api/orders/<int:order_id>", views.OrderByOrm.as_view()),
    path("cache/api/orders/<int:order_id>", views.OrderFromCache.as_view()),
    path("cacheops/api/orders/<int:order_id>", views.OrderByCacheops.as_view()),
]
