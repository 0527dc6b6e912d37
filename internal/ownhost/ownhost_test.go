package ownhost

import "testing"

func TestIs(t *testing.T) {
	names := []string{"router.example", "Blindfold"}
	for host, own := range map[string]bool{
		"localhost": true, "LocalHost:8082": true, "127.0.0.1:8082": true, "10.0.0.1": true, "[::1]:8082": true, "[fe80::1]": true,
		"router.example": true, "Router.Example:8080": true, "blindfold:1": true,
		"evil.example": false, "evil.example:8082": false, "localhost.evil.example": false, "router.example.evil": false,
		"127.0.0.1.evil.example": false, "": false, ":8080": false,
	} {
		if Is(host, names) != own {
			t.Errorf("%q: %t", host, !own)
		}
		if named := Is(host, nil); named && !own {
			t.Errorf("%q is own without names", host)
		}
	}
	if Is("router.example", nil) {
		t.Error("a name is own that nobody has given")
	}
}
