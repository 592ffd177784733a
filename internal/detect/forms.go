package detect

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"github.com/neontwin/neontwin/internal/mask"
)

// form is a way that values are written which says what they are.
type form struct {
	topic topic
	class mask.Class
	// is reports whether a value, without blanks around it, is in the form.
	is func(string) bool
	// chance marks forms that many other numbers have by chance: they count
	// only where all values are in them, or where the name agrees.
	chance bool
}

// forms are those that a value may be in. The first counts.
func forms() []form {
	return []form{
		{"secret", mask.Hash, isToken, false},
		{"email", mask.Email, isEmail, false},
		{"iban", mask.IBAN, isIBAN, false},
		{"national_id", mask.NationalID, isNationalID, false},
		{"card", mask.Card, isCard, false},
		{"mac", mask.MACClass, isMAC, false},
		{"ip", mask.IPClass, isIP, false},
		{"phone", mask.Phone, isPhone, false},
		{"url", mask.URL, isProfile, false},
		{"device", mask.Hash, isUserAgent, false},
		{"national_id", mask.NationalID, isNumberByChance, true},
	}
}

// strict are the forms that hardly anything else is in.
func strict() []form { return forms()[:8] }

// Values gives the form of personal data that most of the values are in, and
// how many of them are. Only forms count that nothing else is in: e-mail
// addresses, phone, card and account numbers, addresses of machines, national
// ids with check digits, tokens.
func Values(values []string) (mask.Class, int) {
	counts := map[mask.Class]int{}
	for _, v := range values {
		if f, ok := formOf(strict(), v); ok {
			counts[f.class]++
		}
	}
	best, most := mask.Class(""), 0
	for _, f := range strict() { // in a fixed order
		if n := counts[f.class]; n > most {
			best, most = f.class, n
		}
	}
	return best, most
}

// longestForm is more than any value of a form has, but for keys in PEM.
const longestForm = 600

func formOf(list []form, v string) (form, bool) {
	v = strings.TrimSpace(v)
	if v == "" {
		return form{}, false
	}
	if len(v) > longestForm {
		v = v[:longestForm]
	}
	for _, f := range list {
		if f.is(v) {
			return f, true
		}
	}
	return form{}, false
}

var (
	emailForm = regexp.MustCompile(`^[\p{L}\p{N}._%+'&/=?^{}~!#$*-]+@(?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]*[\p{L}\p{N}])?\.)+[\p{L}]{2,24}$`)
	roleForm  = regexp.MustCompile(`^(?:info|contact|kontakt|contacto|contato|contatti|support|soporte|suporte|assistenza|service|kundenservice|klantenservice|sales|ventas|vendas|vendite|verkauf|verkoop|vertrieb|office|buero|mail|hello|hallo|help|admin|administrator|root|webmaster|postmaster|hostmaster|noreply|no-reply|no_reply|donotreply|newsletter|billing|invoices?|rechnung|facturacion|accounting|buchhaltung|orders?|bestellung|jobs|hr|press|presse|marketing|security|abuse|team|shop|store|tienda|loja|system|bot|notifications?|alerts?|zentrale|sekretariat|secretaria|segreteria|accueil|commercial|pedidos|compras|inkoop|einkauf|acquisti|reservas|reservations?|bookings?|it|ops|dev|mairie|contabilidad|contabilidade|administratie|amministrazione|administracion|geral|direccion|dispatch|logistics|logistik)(?:[._+-].*)?$`)
	macForm   = regexp.MustCompile(`^(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$|^(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}$`)
	agentForm = regexp.MustCompile(`^(?:Mozilla|Opera|Dalvik|okhttp|Lynx|PostmanRuntime|curl|Wget|python-requests|CFNetwork)/\d`)
	tokenForm = regexp.MustCompile(`^(?:eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*` + // JWT
		`|A(?:KIA|SIA)[A-Z0-9]{16}` + // AWS
		`|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}` +
		`|[spr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}` + // Stripe
		`|xox[abposr]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|glpat-[A-Za-z0-9_-]{16,}` +
		`|\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{20,}|\$argon2(?:id|i|d)\$.+|\$(?:5|6|7|y|scrypt|pbkdf2[a-z0-9-]*)\$.+` +
		`|pbkdf2_sha\d+\$\d+\$.+|bcrypt(?:_sha256)?\$.+|scrypt:\d+:.+|argon2\$.+|\{(?:S?SHA\d*|CRYPT|MD5|SMD5|PBKDF2.*)\}.+|\$P\$[./A-Za-z0-9]{20,}` +
		`|-----BEGIN [A-Z ]+-----[\s\S]*|(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+) AAAA\S+.*|Bearer \S{16,})$`)
	profileForm = regexp.MustCompile(`(?i)^(?:https?://)?(?:[a-z]+\.)?(?:linkedin\.com/in/|twitter\.com/|x\.com/|facebook\.com/|instagram\.com/|github\.com/|xing\.com/profile/|t\.me/|gravatar\.com/avatar/|tiktok\.com/@|mastodon\.[a-z]+/@)[^/\s]+/?\S*$`)
)

// isEmail takes addresses of persons and others, no patterns for them.
func isEmail(s string) bool {
	local, _, at := strings.Cut(s, "@")
	return at && strings.ContainsFunc(local, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) && emailForm.MatchString(s)
}

// isRole reports whether an e-mail address is that of an office or a program.
func isRole(s string) bool {
	local, _, at := strings.Cut(strings.ToLower(s), "@")
	return at && roleForm.MatchString(local)
}

// public reports whether an address of a machine can be a visitor's.
func public(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && !a.IsPrivate() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && !strings.HasPrefix(s, "255.")
}

func isMAC(s string) bool { return macForm.MatchString(s) }

func isToken(s string) bool { return len(s) >= 16 && tokenForm.MatchString(s) }

func isUserAgent(s string) bool { return agentForm.MatchString(s) }

func isProfile(s string) bool { return profileForm.MatchString(s) }

// isIP takes addresses, with or without a prefix. What could be a time, and a
// lone number, is none.
func isIP(s string) bool {
	addr, bits, cut := strings.Cut(s, "/")
	if cut && (bits == "" || len(bits) > 3) {
		return false
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && (a.Is4() || len(addr) > 2)
}

// bare is s without the separators that people put into numbers; false if
// anything is left that is neither a digit nor an ASCII letter.
func bare(s, separators string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch b := s[i]; {
		case strings.IndexByte(separators, b) >= 0:
		case b >= '0' && b <= '9', b >= 'A' && b <= 'Z':
			out = append(out, b)
		case b >= 'a' && b <= 'z':
			out = append(out, b-'a'+'A')
		default:
			return "", false
		}
	}
	return string(out), true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isIBAN takes accounts of any country whose check digits are right.
func isIBAN(s string) bool {
	s, ok := bare(s, " -")
	if !ok || len(s) < 15 || len(s) > 34 || allDigits(s[:1]) || allDigits(s[1:2]) || !allDigits(s[2:4]) {
		return false
	}
	rest := 0
	for _, b := range []byte(s[4:] + s[:4]) {
		if b >= 'A' {
			rest = (rest*100 + int(b-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(b-'0')) % 97
		}
	}
	return rest == 1
}

// isCard takes payment cards of the great issuers with a right check digit.
func isCard(s string) bool {
	s, ok := bare(s, " -")
	if !ok || len(s) < 13 || len(s) > 19 || !allDigits(s) || !issued(s) {
		return false
	}
	return luhn(s)
}

// issued reports whether a number of this length can begin so.
func issued(s string) bool {
	switch n := len(s); s[0] {
	case '4':
		return n == 13 || n == 16 || n == 19
	case '5':
		return n == 16 && s[1] >= '1' && s[1] <= '5' || n >= 16 && s[:2] >= "56" && s[:2] <= "59"
	case '2':
		return n == 16 && s[:4] >= "2221" && s[:4] <= "2720"
	case '3':
		return n == 15 && (s[1] == '4' || s[1] == '7') || n == 14 && (s[1] == '0' || s[1] == '6' || s[1] == '8') || n == 16 && s[1] == '5'
	case '6':
		return n == 16 && (s[:2] == "65" || s[:2] == "60" || s[:2] == "62" || s[:2] == "64") || n == 19 && s[:2] == "62"
	}
	return false
}

func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0 && strings.Trim(s, s[:1]) != ""
}
