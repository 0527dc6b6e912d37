package client

// Restore makes again what a new connection would have to, on the one that there
// is.
func (s *Session) Restore() {
	if l, err := s.current(); err == nil {
		s.restore(l)
	}
}
