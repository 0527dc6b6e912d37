package cluster

import (
	"fmt"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A topic becomes a NATS subject with one token for each component. Bytes that a token
// can't hold are written as %XX.
//
//	exact     com.example.a    com.example.a
//	wildcard  com..a           com.*.a
//	prefix    com.exam         com.>          the tokens that are complete, and what follows
//
// A prefix selects by characters, so a node gets more than it asked for, and its own
// table of subscriptions decides.

const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// token writes one component of a URI as one token of a subject.
func token(dst []byte, component string) []byte {
	for i := 0; i < len(component); i++ {
		if c := component[i]; strings.IndexByte(tokenBytes, c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = fmt.Appendf(dst, "%%%02X", c)
		}
	}
	return dst
}

// topicSubject appends the subject that a topic is published on to prefix, which ends
// with a dot.
func topicSubject(prefix []byte, topic wamp.URI) []byte {
	for i, component := range strings.Split(string(topic), ".") {
		if i > 0 {
			prefix = append(prefix, '.')
		}
		prefix = token(prefix, component)
	}
	return prefix
}

// interestSubject is the subject to subscribe to for a topic or pattern.
func interestSubject(prefix string, match wamp.Match, topic wamp.URI) string {
	dst := []byte(prefix)
	components := strings.Split(string(topic), ".")
	if match == wamp.MatchPrefix {
		components = components[:len(components)-1] // the last may go on
	}
	for i, component := range components {
		if i > 0 {
			dst = append(dst, '.')
		}
		if component == "" {
			dst = append(dst, '*')
		} else {
			dst = token(dst, component)
		}
	}
	if match == wamp.MatchPrefix {
		if len(components) > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, '>')
	}
	return string(dst)
}

// A key of the directory has a realm, a way to match and a URI, each as one token. The
// characters of a key are few, so a dot is written as a slash, and others as =XX.
func directoryKey(realm string, match wamp.Match, uri wamp.URI) string {
	dst := keyToken(nil, realm)
	dst = append(dst, '.', match.String()[0], '.')
	return string(keyToken(dst, string(uri)))
}

func keyToken(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '=')
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			dst = append(dst, '/')
		case strings.IndexByte(tokenBytes, c) >= 0:
			dst = append(dst, c)
		default:
			dst = fmt.Appendf(dst, "=%02X", c)
		}
	}
	return dst
}

// parseDirectoryKey is the inverse of directoryKey. It takes no other way to write a key:
// two keys would be one entry of the router's.
func parseDirectoryKey(key string) (realm string, match wamp.Match, uri wamp.URI, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return "", 0, "", false
	}
	for _, m := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
		if parts[1] == m.String()[:1] {
			match, ok = m, true
		}
	}
	realm, okRealm := parseKeyToken(parts[0])
	text, okURI := parseKeyToken(parts[2])
	uri = wamp.URI(text)
	return realm, match, uri, ok && okRealm && okURI && directoryKey(realm, match, uri) == key
}

func parseKeyToken(s string) (string, bool) {
	if s == "=" {
		return "", true
	}
	var dst []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '/':
			dst = append(dst, '.')
		case '=':
			var b byte
			if i+3 > len(s) {
				return "", false
			}
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &b); err != nil {
				return "", false
			}
			dst = append(dst, b)
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return string(dst), true
}
