package config

import (
	"fmt"
	"log/slog"
)

// redacted stands wherever a secret would be printed.
const redacted = "[redacted]"

// Secret is a value that must not be seen: a password, a key, an address that
// holds one. Printed, logged or encoded in any way it reads [redacted]; only
// Reveal gives the value. The zero Secret is one that was never set.
//
// The value lies behind a pointer: fmt prints the fields of an unexported
// field without asking its methods, and would show a plain string.
type Secret struct{ value *string }

// NewSecret hides a value. An empty value is the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal gives the value, to be handed to whom it is for and to nobody else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret was never set.
func (s Secret) IsZero() bool { return s.value == nil }

// String is not the value.
func (s Secret) String() string {
	if s.value == nil {
		return "[not set]"
	}
	return redacted
}

// Format prints the same for every verb, %#v and %x among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// MarshalText keeps the value out of JSON, YAML and whatever else encodes text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps the value out of log records, whatever their handler.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
