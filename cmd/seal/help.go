package main

// Options that several commands have, as their help shows them. TestHelp compares
// each command's help with the options that it parses.

const urlHelp = `
options to connect:
  --url URL          the router: ws://, wss://, rs://, rss:// or unix:
                     (default $SEAL_URL, or ws://127.0.0.1:8080/ws)
`

const joinHelp = `  --realm REALM      the realm to join (default $SEAL_REALM, or realm1)
  --auth METHOD      anonymous, ticket, wampcra, scram, wamp-scram (Crossbar's),
                     cryptosign, tls or cookie (default anonymous)
  --authid ID        the authid to log in as
  --authrole ROLE    the role to ask for, if the authid has several
  --secret SOURCE    the ticket, secret, password, Ed25519 key (64 hex digits), or
                     cookie (NAME=VALUE): env:NAME or file:PATH
  --ca FILE          trust the certificates (PEM) in FILE for wss and rss, instead
                     of the system's
  --cert FILE        client certificate (PEM)
  --cert-key FILE    private key of the client certificate (PEM)
`

const connectHelp = urlHelp + joinHelp + `  --serializer NAME  json, msgpack or cbor (default json). A sealed message reaches
                     only clients with the same serializer, unless the realm has
                     conversion: reframe
`

const sealHelp = `
options to seal:
  --keyring FILE     keys, as seal keygen writes them
  --key SOURCE       one private key that both sides have: env:NAME, file:PATH, or
                     base64, which other users of this machine can see
  --form FORM        transparency (Autobahn, Crossbar) or passthru (the WAMP
                     specification) (default transparency)
  --clear            send and accept messages without a key in the clear
  --scramble         fail unless the URI is hidden from the router. The keyring needs
                     a scramble key for it, which is used with or without this option
  --know URI         recognize this URI when it arrives scrambled (may be repeated)

  --scope            seal in the scope that the URI is in (seal scope), instead of with
                     a key
  --forget           with --scope: go on though the state file of a scope is lost
` + homeHelp + `
Files with keys must not be readable by others (mode 0600).
`

const sendHelp = `
options:
  --args LIST        arguments as a JSON list, instead of TEXT
  --kwargs DICT      keyword arguments as a JSON object
  --file FILE        one argument: the bytes of FILE (- is standard input)
  --json             print JSON, one object per line
`

const receiveHelp = `
options:
  --match POLICY     exact, prefix or wildcard (default exact)
  --json             print JSON, one object per line
`

const verifyHelp = `
options:
  --url URL          the router (may be repeated): ws://, wss://, rs://, rss:// or unix:
  --exec ROUTER ...  start this router; must be the last option
  --messages N       how many payloads to compare (default 10000)
  --pid ID           process ID of the router (Linux)
  --binary FILE      executable of the router
  --log FILE         log of the router, at its most verbose level (may be repeated)
  --data FOLDER      where the router keeps its data (may be repeated)
  --metrics URL      Prometheus metrics of the router
  --required URI     a URI on which the router requires opaque payloads
  --validated URI    a URI on which the router validates payloads
  --keyring FILE     seal with these keys, and search for them (default: keys that are
                     generated for this run)
  --only CHECK       run this check and no other (may be repeated, or a list with commas)
  --optional CHECK   this check need not be run (may be repeated, or a list with commas)
  --json             print JSON

options to connect:
` + joinHelp
