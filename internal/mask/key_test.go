package mask_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

const secretText = "8f2a6c0d9e41b7735c18fa02d46e9b3017c5e8a9246fb0d3718e5a9c3f60d2b4"

func secret(t testing.TB) mask.Secret {
	t.Helper()
	s, err := mask.ParseSecret(secretText)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":     "",
		"short":     secretText[:62],
		"long":      secretText + "00",
		"no digits": strings.Repeat("xy", 32),
		"zero":      strings.Repeat("00", 32),
		"constant":  strings.Repeat("ab", 32),
		"pattern":   strings.Repeat("deadbeef", 8),
		"counting":  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"digits":    strings.Repeat("0123456789abcdef", 4),
	} {
		_, err := mask.ParseSecret(text)
		if err == nil {
			t.Errorf("%s: taken for a secret", name)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error repeats the secret: %v", name, err)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	s := secret(t)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "key", "secret", s, "domain", s.Domain("email"))
	encoded, err := json.Marshal(struct {
		S mask.Secret
		K mask.Key
		P *mask.Secret
	}{s, s.Domain("x"), &s})
	if err != nil {
		t.Fatal(err)
	}
	nested := struct {
		s mask.Secret
		k mask.Key
	}{s, s.Domain("email")}
	printed := log.String() + string(encoded) +
		fmt.Sprintf("%v %+v %#v %s %x %d %q", s, s, s, s, s, s, s) +
		fmt.Sprintf("%v %+v %#v", nested, nested, nested) +
		fmt.Sprint(s.Domain("email"), nested.k)
	for i := 0; i+8 <= len(secretText); i += 2 {
		if strings.Contains(printed, secretText[i:i+8]) {
			t.Fatalf("the secret is printed: %s", printed)
		}
	}
	if !strings.Contains(printed, "[redacted]") {
		t.Error("nothing says that a secret was left out")
	}
}

func TestSecretID(t *testing.T) {
	t.Parallel()
	other, err := mask.ParseSecret("9" + secretText[1:])
	if err != nil {
		t.Fatal(err)
	}
	s := secret(t)
	if len(s.ID()) != 8 || s.ID() != secret(t).ID() || s.ID() == other.ID() {
		t.Errorf("ids are %s and %s", s.ID(), other.ID())
	}
	if (mask.Secret{}).ID() != "" || !(mask.Secret{}).IsZero() || !(mask.Secret{}).Domain("x").IsZero() {
		t.Error("the zero secret has a name or a key")
	}
}
