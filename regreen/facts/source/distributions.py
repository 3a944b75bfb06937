"""Which distribution brings which import: the well-known names that differ, and the rules for the rest.

Sources: the `top_level.txt` and `RECORD` of the published wheels of each distribution named here.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Final

from packaging.utils import canonicalize_name

#: Modules that every Python brings, or brought: `distutils` and friends left in 3.12, others in 3.13 (PEP 594).
STDLIB: Final = frozenset(sys.stdlib_module_names) | {
    "__main__", "_typeshed", "_winreg", "aifc", "annotationlib", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk",
    "compression", "crypt", "distutils", "idlelib", "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib",
    "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "test", "tomllib", "turtledemo", "uu", "xdrlib",
}  # fmt: skip

#: Modules of Python 2 and where Python 3 has what they held (PEP 3108).
PYTHON_2: Final = {
    "BaseHTTPServer": "http.server", "CGIHTTPServer": "http.server", "ConfigParser": "configparser", "Cookie": "http.cookies",
    "HTMLParser": "html.parser", "Queue": "queue", "SimpleHTTPServer": "http.server", "SocketServer": "socketserver",
    "StringIO": "io", "Tkinter": "tkinter", "UserDict": "collections", "__builtin__": "builtins", "cPickle": "pickle",
    "cStringIO": "io", "cookielib": "http.cookiejar", "htmlentitydefs": "html.entities", "httplib": "http.client",
    "robotparser": "urllib.robotparser", "tkMessageBox": "tkinter.messagebox", "urllib2": "urllib.request",
    "urlparse": "urllib.parse", "xmlrpclib": "xmlrpc.client",
}  # fmt: skip

#: Import name -> distributions that bring it, the usual one first. A dotted key wins over its parent.
PROVIDERS: Final[dict[str, tuple[str, ...]]] = {
    name: tuple(distributions.split())
    for name, _, distributions in (
        line.partition(": ")
        for line in """\
AppKit: pyobjc pyobjc-framework-Cocoa
Cython: cython
Crypto: pycryptodome pycrypto
Cryptodome: pycryptodomex
Foundation: pyobjc pyobjc-framework-Cocoa
IPython: ipython
MySQLdb: mysqlclient
OpenGL: pyopengl
OpenSSL: pyopenssl
PIL: pillow
PyQt5: pyqt5
PyQt6: pyqt6
Xlib: python-xlib
absl: absl-py
antlr4: antlr4-python3-runtime
apiclient: google-api-python-client
apt: python-apt
attr: attrs
bs4: beautifulsoup4
bson: pymongo
cairo: pycairo
cassandra: cassandra-driver scylla-driver
clickhouse_driver: clickhouse-driver
compose: docker-compose
confluent_kafka: confluent-kafka
couchdb: couchdb
cv2: opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless
dateutil: python-dateutil
decouple: python-decouple
discord: discord.py py-cord
django_filters: django-filter
dns: dnspython
docx: python-docx
dotenv: python-dotenv
editor: python-editor
elasticsearch_dsl: elasticsearch-dsl
elftools: pyelftools
faiss: faiss-cpu faiss-gpu
feedparser: feedparser
ffmpeg: ffmpeg-python
fitz: pymupdf
flask_cors: flask-cors
flask_sqlalchemy: flask-sqlalchemy
funcy: funcy
gi: pygobject
git: gitpython
github: pygithub
gitlab: python-gitlab
google.ads: google-ads
google.api: googleapis-common-protos
google.api_core: google-api-core
google.appengine: appengine-python-standard
google.auth: google-auth
google.cloud.aiplatform: google-cloud-aiplatform
google.cloud.bigquery: google-cloud-bigquery
google.cloud.exceptions: google-cloud-core
google.cloud.firestore: google-cloud-firestore
google.cloud.iam: google-cloud-iam
google.cloud.kms: google-cloud-kms
google.cloud.kms_v1: google-cloud-kms
google.cloud.logging: google-cloud-logging
google.cloud.pubsub: google-cloud-pubsub
google.cloud.pubsub_v1: google-cloud-pubsub
google.cloud.run_v2: google-cloud-run
google.cloud.secretmanager: google-cloud-secret-manager
google.cloud.secretmanager_v1: google-cloud-secret-manager
google.cloud.spanner: google-cloud-spanner
google.cloud.storage: google-cloud-storage
google.cloud.tasks_v2: google-cloud-tasks
google.generativeai: google-generativeai
google.genai: google-genai
google.longrunning: googleapis-common-protos
google.oauth2: google-auth
google.protobuf: protobuf
google.resumable_media: google-resumable-media
google.rpc: googleapis-common-protos
google_auth_oauthlib: google-auth-oauthlib
googleapiclient: google-api-python-client
grpc: grpcio
grpc_health: grpcio-health-checking
grpc_reflection: grpcio-reflection
grpc_status: grpcio-status
grpc_tools: grpcio-tools
gssapi: gssapi
haystack: haystack-ai farm-haystack django-haystack
hydra: hydra-core
igraph: python-igraph igraph
imblearn: imbalanced-learn
jaeger_client: jaeger-client
jose: python-jose
jsonrpclib: jsonrpclib-pelix
jwt: pyjwt
kafka: kafka-python kafka-python-ng
kubernetes: kubernetes
ldap: python-ldap
ldap3: ldap3
lightning: lightning pytorch-lightning
llama_index: llama-index llama-index-core
magic: python-magic
markdown: markdown
memcache: python-memcached
mpl_toolkits: matplotlib
multipart: python-multipart
mx: egenix-mx-base
mysql: mysql-connector-python mysql-connector
nacl: pynacl
neo4j: neo4j neo4j-driver
odf: odfpy
opentelemetry: opentelemetry-api opentelemetry-sdk
opentelemetry.sdk: opentelemetry-sdk
OpenSSL.crypto: pyopenssl
osgeo: gdal
paho: paho-mqtt
past: future
pip: pip
pkg_resources: setuptools
playhouse: peewee
postgrest: postgrest supabase
pptx: python-pptx
psycopg2: psycopg2 psycopg2-binary
psycopg: psycopg psycopg-binary
pwn: pwntools
pyarrow: pyarrow
pydispatch: pydispatcher
pylab: matplotlib
pymysql: pymysql
pynvml: nvidia-ml-py pynvml
pysftp: pysftp
pytest_asyncio: pytest-asyncio
pythoncom: pywin32
pythonjsonlogger: python-json-logger
pytorch_lightning: pytorch-lightning
pywintypes: pywin32
pyximport: cython
redis: redis
rest_framework: djangorestframework
rest_framework_simplejwt: djangorestframework-simplejwt
riva: nvidia-riva-client
ruamel: ruamel.yaml
ruamel.yaml: ruamel.yaml
scapy: scapy
sentence_transformers: sentence-transformers
sentry_sdk: sentry-sdk
serial: pyserial
setuptools_scm: setuptools-scm
shapely: shapely
skimage: scikit-image
sklearn: scikit-learn
skopt: scikit-optimize
slack: slackclient slack-sdk
slack_bolt: slack-bolt
slack_sdk: slack-sdk
slugify: python-slugify
snappy: python-snappy
socketio: python-socketio
engineio: python-engineio
socks: pysocks
speech_recognition: speechrecognition
speechmatics: speechmatics-python speechmatics-batch speechmatics-rt speechmatics-voice
sphinx: sphinx
sphinx_rtd_theme: sphinx-rtd-theme
sqlalchemy: sqlalchemy
stdnum: python-stdnum
strawberry: strawberry-graphql
talib: ta-lib
telegram: python-telegram-bot
temporalio: temporalio
tensorboard: tensorboard
tensorflow: tensorflow tensorflow-cpu tensorflow-gpu tensorflow-macos
tlz: toolz cytoolz
tensorflow_hub: tensorflow-hub
tree_sitter: tree-sitter
u2flib_server: python-u2flib-server
usb: pyusb
uvloop: uvloop
vlc: python-vlc
websocket: websocket-client
werkzeug: werkzeug
win32api: pywin32
win32clipboard: pywin32
win32com: pywin32
win32con: pywin32
win32event: pywin32
win32file: pywin32
win32gui: pywin32
win32pipe: pywin32
win32process: pywin32
win32security: pywin32
win32service: pywin32
win32serviceutil: pywin32
winerror: pywin32
wx: wxpython
xdist: pytest-xdist
yaml: pyyaml
zmq: pyzmq
zope.interface: zope.interface
_cffi_backend: cffi
_pytest: pytest
_distutils_hack: setuptools
py: py pytest
backports.zoneinfo: backports.zoneinfo
airflow: apache-airflow apache-airflow-core
apache_beam: apache-beam
pyspark: pyspark
flink: apache-flink
superset: apache-superset
azure.identity: azure-identity
azure.storage.blob: azure-storage-blob
azure.keyvault.secrets: azure-keyvault-secrets
azure.core: azure-core
botocore: botocore boto3
boto3: boto3
s3transfer: s3transfer boto3
aws_lambda_powertools: aws-lambda-powertools
aws_cdk: aws-cdk-lib
cdk8s: cdk8s
pulumi_gcp: pulumi-gcp
pulumi_aws: pulumi-aws
pkg_about: pkg-about
fastapi: fastapi fastapi-slim
starlette: starlette fastapi
multiaddr: multiaddr
lxml: lxml
pymongo: pymongo
gridfs: pymongo
motor: motor
psutil: psutil
sh: sh
toml: toml
nose: nose pynose
mock: mock
community: python-louvain
umap: umap-learn
Levenshtein: python-levenshtein levenshtein rapidfuzz
fuzzywuzzy: fuzzywuzzy
gym: gym
farmhash: cityhash pyfarmhash
jks: pyjks
ibm_db: ibm-db
cx_Oracle: cx-oracle
oracledb: oracledb
pyodbc: pyodbc
hdbcli: hdbcli
snowflake: snowflake-connector-python snowflake-snowpark-python
trino: trino
pgvector: pgvector
influxdb_client: influxdb-client
prometheus_client: prometheus-client
statsd: statsd
ddtrace: ddtrace
datadog: datadog
elevenlabs: elevenlabs
stripe: stripe
openai: openai
anthropic: anthropic
re2: google-re2
tiktoken: tiktoken
langchain_core: langchain-core langchain
langchain_openai: langchain-openai
langchain_community: langchain-community
passlib: passlib
bcrypt: bcrypt
itsdangerous: itsdangerous
jinja2: jinja2
markupsafe: markupsafe
""".splitlines()
    )
}
#: Distributions whose import name is their own, met often enough that a folder of that name may stand for something else.
POPULAR: Final = frozenset(
    """aiofiles aiohttp aiokafka aiomysql aioredis aiosmtplib aiosqlite alembic altair ansible anyio apscheduler argcomplete
    arrow asgiref asyncpg authlib azure babel backoff beanie black bokeh bottle braintree brotli cachetools celery certifi
    cffi chardet cherrypy click colorama coverage cryptography cupy dash dask databases deepdiff distributed django docker
    docutils dramatiq dulwich elasticsearch eventlet evaluate execnet fabric factory faker falcon fastavro fastmcp filelock
    flake8 flask freezegun fsspec gevent gradio graphene graphql great_expectations greenlet gunicorn h11 h2 h5py hatchling
    holidays httpcore httplib2 httpx huey huggingface_hub humanize hvac hypercorn hypothesis idna importlib_metadata
    importlib_resources inflection invoke isort jax jedi jenkins jinja2 jmespath joblib jsonpatch jsonschema kazoo keras
    keyring kombu langchain langgraph litellm locust loguru mako marshmallow matplotlib mcp mlflow mmh3 mongoengine
    mongomock more_itertools msgpack multidict mypy nats networkx nltk notebook nox numba numexpr numpy oauthlib odoo
    omegaconf onnx openpyxl optuna orjson packaging pandas paramiko passlib pathspec pendulum pexpect phonenumbers pika
    pipenv platformdirs playwright plotly pluggy polars poetry portalocker pre_commit prefect prettytable prometheus_client
    prompt_toolkit psycopg ptyprocess pulumi pyasn1 pybind11 pydantic pydantic_settings pyflakes pygments pylint pyparsing
    pytest pytz qdrant_client ray regex reportlab requests requests_mock respx responses retrying rich rpyc rq ruff salt
    sanic scipy scrapy seaborn selenium semver setuptools shapely simplejson six snowballstemmer sortedcontainers soupsieve
    spacy sphinx sqlglot sqlmodel statsmodels stevedore streamlit structlog sympy tabulate tblib tenacity termcolor
    testcontainers textual thrift torch torchaudio torchvision tornado tox tqdm traitlets transformers treq trio twisted
    twilio typeguard typer typing_extensions typing_inspect tzdata tzlocal ujson unidecode urllib3 uvicorn validators
    virtualenv vcr voluptuous waitress wandb watchdog watchfiles websockets werkzeug wheel whitenoise wrapt wsproto wtforms
    xarray xgboost xlrd xlsxwriter yaml yarl zeep zeroconf zstandard""".split()  # noqa: SIM905 - a word list reads better
)
_TOPS: Final = frozenset(name.partition(".")[0] for name in PROVIDERS)
#: Shapes in which a distribution's name is made from its import name.
_SHAPES: Final = (
    "{}",
    "python-{}",
    "py{}",
    "py-{}",
    "{}-python",
    "{}-py",
    "{}py",
    "{}-sdk",
    "{}-api",
    "{}-python-api",
    "{}-python-sdk",
    "{}-python-client",
    "{}-api-client",
    "{}-client",
    "{}-lib",
    "lib{}",
)


def providers(name: str) -> tuple[str, ...]:
    """The distributions known to bring a dotted import name, the usual one first; empty if none is known."""
    parts = name.split(".")
    for length in range(min(len(parts), 4), 0, -1):
        found = PROVIDERS.get(".".join(parts[:length]))
        if found is not None:
            return tuple(canonicalize_name(item) for item in found)
    return ()


def likely(name: str) -> Iterator[str]:
    """Normalised distribution names that could bring a dotted import name, known or by their shape."""
    yield from providers(name)
    parts = name.split(".")
    for length in range(min(len(parts), 4), 0, -1):
        joined = "-".join(parts[:length])
        for shape in _SHAPES if length == 1 else ("{}",):
            yield canonicalize_name(shape.format(joined))


def declared(name: str, names: Collection[str]) -> str:
    """The declared distribution that brings an import, or an empty string. `names` are normalised."""
    for candidate in likely(name):
        if candidate in names:
            return candidate
    for other in names if providers(name) else ():
        if any(other.endswith(f"-{candidate}") and len(candidate) > 8 for candidate in likely(name)):
            return other  # a fork: `skopt` from `ft-scikit-optimize`
    if providers(name):
        return ""
    root = name.partition(".")[0]
    plain = canonicalize_name(root)
    for other in names:  # namespace packages and plugins: `azure.identity` from `azure-mgmt`, `foo` from `foo-core`
        if other.startswith(f"{plain}-") and (
            "." in name or other.endswith(("-core", "-binary", "-ng", "-cpu", "-gpu", "-lite"))
        ):
            return other
        if other.endswith(f"-{plain}") and other.count("-") == 1 and len(plain) > 3:
            return other
    return ""


def known(name: str) -> bool:
    """Whether a top-level import name is one of Python's own or of a well-known distribution."""
    return name in STDLIB or name in POPULAR or name in _TOPS
