module github.com/blindfold-wamp/blindfold

go 1.26
