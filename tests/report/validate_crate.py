"""python validate_crate.py FOLDER: rocrate-validator's findings as JSON, without a network.

The terms that our crates use stand here in place of the context, whose address needs a network.
"""

import io
import json
import sys
from email.message import Message
from urllib.response import addinfourl

import rdflib.parser
import requests
import requests_cache
from rocrate_validator import services

SCHEMA = (
    "CreativeWork CreateAction Dataset Organization SoftwareApplication about author dateModified "
    "datePublished description encodingFormat endTime hasPart identifier instrument license "
    "mentions name object publisher result softwareVersion startTime usageInfo"
)
TERMS = {term: f"http://schema.org/{term}" for term in SCHEMA.split()}
TERMS |= {"File": "http://schema.org/MediaObject", "conformsTo": "http://purl.org/dc/terms/conformsTo"}
CONTEXT = json.dumps({"@context": TERMS}).encode()


def opened(request, *_args, **_options):
    headers = Message()
    headers["Content-Type"] = "application/ld+json"
    return addinfourl(io.BytesIO(CONTEXT), headers, "https://w3id.org/ro/crate/1.1/context", 200)


def asked(_session, method, url, **_options):
    answer = requests.Response()
    answer.status_code, answer.url, answer._content = 200, url, CONTEXT
    answer.headers["Content-Type"] = "application/ld+json"
    return answer


rdflib.parser._urlopen = opened
requests_cache.CachedSession.request = asked
settings = services.ValidationSettings(
    rocrate_uri=sys.argv[1], profile_identifier="ro-crate-1.1", requirement_severity="RECOMMENDED"
)
result = services.validate(settings)
print(json.dumps([[issue.severity.name, issue.message] for issue in result.get_issues()]))
