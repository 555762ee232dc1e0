package rest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"time"

	"longitude/connectors"
)

// state is what the cursor remembers between pulls. Where an interrupted pull was
// can name a participant, so that part is sealed.
type state struct {
	Version int             `json:"v"`
	Since   map[string]mark `json:"since,omitempty"` // stream → the newest change seen by a pull that came to its end
	At      []byte          `json:"at,omitempty"`    // sealed position; none = the last pull came to its end
}

// mark is how far a stream has been read.
type mark struct {
	Of string    `json:"of"` // which definition of the stream it is about
	To time.Time `json:"to"`
}

// position is where a pull is.
type position struct {
	Started time.Time       `json:"started"`
	Stream  string          `json:"stream"`
	Of      string          `json:"of"`
	Key     string          `json:"key,omitempty"`   // of the chain
	Since   string          `json:"since,omitempty"` // that the chain was asked with
	Place   place           `json:"place"`           // of the next page
	Newest  time.Time       `json:"newest"`          // of the stream, so far
	Gave    []byte          `json:"gave,omitempty"`  // a bit for each chain before: it had a page
	Done    map[string]mark `json:"done,omitempty"`  // streams before, in this pull
}

const stateVersion = 1

// load reads the state of a cursor. One that is not ours says nothing.
func (s *source) load(after connectors.Cursor) (marks map[string]mark, at *position) {
	var was state
	if json.Unmarshal(after.State, &was) != nil || was.Version != stateVersion {
		return map[string]mark{}, nil
	}
	marks = map[string]mark{}
	for name, m := range was.Since {
		if i := s.index(name); i >= 0 && m.Of == s.definition(s.config.Streams[i]) {
			marks[name] = m
		}
	}
	if p := s.unseal(was.At); s.resumable(p) {
		return marks, p
	}
	if len(was.At) > 0 {
		for _, of := range s.config.Streams {
			forget(marks, of)
		}
	}
	return marks, nil
}

// resumable reports whether an interrupted pull can go on where it was.
func (s *source) resumable(p *position) bool {
	if p == nil {
		return false
	}
	i, age := s.index(p.Stream), s.rt.Now().Sub(p.Started)
	return i >= 0 && p.Of == s.definition(s.config.Streams[i]) && age >= 0 && age <= s.config.Resume
}

// forget has a stream of children read in full because an interrupted pull is not
// gone on with: of a child that was new in it only a part may be durable.
func forget(marks map[string]mark, of Stream) {
	if of.Parent.Stream != "" {
		delete(marks, of.Name)
	}
}

// save writes a state; at is nil once a pull has come to its end.
func (s *source) save(marks map[string]mark, at *position) []byte {
	now := state{Version: stateVersion, Since: marks}
	if at != nil {
		now.At = s.seal(at)
	}
	text, _ := json.Marshal(now) // these types always can be
	return text
}

// definition tells whether a stream is still what it was when a state was written.
func (s *source) definition(of Stream) string {
	text, _ := json.Marshal(of)
	return s.rt.Digest(s.config.URL + "\x00" + string(text))[:16]
}

func (s *source) index(name string) int {
	for i, of := range s.config.Streams {
		if of.Name == name {
			return i
		}
	}
	return -1
}

// lock is the cipher of positions, under a key of the installation's own.
func (s *source) lock() cipher.AEAD {
	key := sha256.Sum256([]byte(s.rt.Digest("rest: key of positions")))
	block, _ := aes.NewCipher(key[:]) // the length is right
	lock, _ := cipher.NewGCMWithRandomNonce(block)
	return lock
}

func (s *source) seal(p *position) []byte {
	text, _ := json.Marshal(p)
	return s.lock().Seal(nil, nil, text, nil) //nolint:gosec // the cipher itself makes the nonce
}

// unseal answers nil for what this installation has not sealed.
func (s *source) unseal(sealed []byte) *position {
	if len(sealed) == 0 {
		return nil
	}
	text, err := s.lock().Open(nil, nil, sealed, nil)
	var p position
	if err != nil || json.Unmarshal(text, &p) != nil {
		return nil
	}
	return &p
}
