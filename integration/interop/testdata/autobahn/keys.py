"""The keys and URIs that both ends of the Autobahn story use."""
from autobahn.wamp.cryptobox import Key, KeyRing

PREFIX = "com.example.secret."

ORIGINATOR_PRIV = "NuVyWDx5ZM6YLn02rLGoJcqOvAdmDRqy2K+PXzeTgsA="
RESPONDER_PRIV = "Hgcs3IqkFDTLZgvGSvDFBqfCD7stBr3f5b3QdoctFRE="


def public_of(private):
    from nacl.encoding import Base64Encoder
    from nacl.public import PrivateKey

    return PrivateKey(private, encoder=Base64Encoder).public_key.encode(encoder=Base64Encoder).decode()


def keyring(originator):
    """The half of the keys that one end is to have."""
    ring = KeyRing()
    if originator:
        key = Key(originator_priv=ORIGINATOR_PRIV, responder_pub=public_of(RESPONDER_PRIV))
    else:
        key = Key(responder_priv=RESPONDER_PRIV, originator_pub=public_of(ORIGINATOR_PRIV))
    ring.set_key(PREFIX, key)
    return ring
