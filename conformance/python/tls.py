"""What clients use TLS with, and what they say when it fails."""

import json
import os
import ssl


def given():
    """What the suite has given: files by their roles; nothing for plaintext."""
    return json.loads(os.environ.get("CONFORMANCE_TLS", "null"))


def cases():
    """Bad certificates by name: where a client meets each, and what it uses."""
    return json.loads(os.environ["CONFORMANCE_CASES"])


def librdkafka(tls):
    """As librdkafka wants it."""
    if tls is None:
        return {}
    config = {"security.protocol": "ssl", "ssl.ca.location": tls["ca"]}
    if "key" in tls:
        config |= {"ssl.certificate.location": tls["certificate"], "ssl.key.location": tls["key"]}
    return config


def kafka_python(tls):
    """As kafka-python wants it."""
    if tls is None:
        return {}
    config = {"security_protocol": "SSL", "ssl_cafile": tls["ca"]}
    if "key" in tls:
        config |= {"ssl_certfile": tls["certificate"], "ssl_keyfile": tls["key"]}
    return config


def aiokafka(tls):
    """As aiokafka wants it."""
    if tls is None:
        return {}
    context = ssl.create_default_context(cafile=tls["ca"])
    if "key" in tls:
        context.load_cert_chain(tls["certificate"], tls["key"])
    return {"security_protocol": "SSL", "ssl_context": context}
