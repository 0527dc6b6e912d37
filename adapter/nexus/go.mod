module github.com/blindfold-wamp/blindfold/adapter/nexus

go 1.26.0

require (
	github.com/blindfold-wamp/blindfold v0.0.0
	github.com/gammazero/nexus/v3 v3.3.0
	github.com/prometheus/client_golang v1.25.0
)
