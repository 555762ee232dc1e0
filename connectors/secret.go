package connectors

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a reference to a secret text, resolved only when it is used. It
// prints as [redacted] under every formatter; only Reveal gives the text.
type Secret struct{ resolve func() (string, error) }

// NewSecret wraps a secret text that is already known.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return SecretFrom(func() (string, error) { return text, nil })
}

// SecretFrom makes a secret that resolve finds when it is needed. The errors of
// resolve name the reference, never the text.
func SecretFrom(resolve func() (string, error)) Secret { return Secret{resolve} }

// SetReference makes s the secret that resolve finds; it is how configuration
// fills a secret without knowing this package.
func (s *Secret) SetReference(resolve func() (string, error)) { s.resolve = resolve }

// Reveal returns the secret itself, for the one call that needs it; "" when no
// secret was configured.
func (s Secret) Reveal() (string, error) {
	if s.resolve == nil {
		return "", nil
	}
	return s.resolve()
}

// IsZero reports whether no secret was configured.
func (s Secret) IsZero() bool { return s.resolve == nil }

const redacted = "[redacted]"

// Format writes [redacted] whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
