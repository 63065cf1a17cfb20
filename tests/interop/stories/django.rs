//! Django under gunicorn.

use super::bases::Kind;
use super::{MACHINES, Story};

#[test]
fn a_django_service_serves() {
    let Some(story) = Story::new("a_django_service_serves", "shop", "python3") else { return };
    story.base(Kind::Python, "library/python:3.11-slim");
    story.write(
        "Dockerfile",
        "FROM python:3.11-slim\n\
         ENV PYTHONUNBUFFERED=1\n\
         WORKDIR /app\n\
         COPY requirements.txt .\n\
         RUN pip install --no-cache-dir -r requirements.txt\n\
         COPY . .\n\
         RUN useradd --uid 10001 shop\n\
         USER shop\n\
         EXPOSE PORT\n\
         CMD [\"gunicorn\", \"shop.wsgi:application\", \"--bind\", \"0.0.0.0:PORT\", \"--workers\", \"2\"]\n",
    );
    story.write("requirements.txt", "django==5.2.1\ngunicorn==23.0.0\n");
    story.write("shop/__init__.py", "");
    story.write(
        "shop/settings.py",
        "ALLOWED_HOSTS = ['localhost']\nROOT_URLCONF = 'shop.urls'\nSECRET_KEY = 'of a test'\n\
         WSGI_APPLICATION = 'shop.wsgi.application'\n",
    );
    story.write(
        "shop/wsgi.py",
        "import os\n\nfrom django.core.wsgi import get_wsgi_application\n\n\
         os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\napplication = get_wsgi_application()\n",
    );
    story.write(
        "shop/urls.py",
        "import os\nimport platform\n\nfrom django.http import HttpResponse\nfrom django.urls import path\n\n\n\
         def hello(request):\n    \
         return HttpResponse(f'Django on {platform.machine()} in {os.getcwd()} as {os.getuid()}')\n\n\n\
         urlpatterns = [path('hello/', hello)]\n",
    );
    story.dockless(&["init"]).ok();
    story.build();
    story.serves("/hello/", "Django on MACHINE in /app as 10001", MACHINES);
}
