package pgtools

import (
	"errors"
	"net/url"
	"strings"
)

// address is a database's address in two parts: what may stand on a command
// line, and the password.
type address struct {
	url, password string
}

// parseAddress takes the password out of a postgres:// address, and what
// libpq doesn't know. Its errors never show the address.
func parseAddress(s string) (address, error) {
	u, err := url.Parse(s)
	// What url.Parse says of an address holds the address.
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Opaque != "" {
		return address{}, errors.New("the database's address is no postgres:// URL")
	}
	var a address
	if u.User != nil {
		a.password, _ = u.User.Password()
		u.User = url.User(u.User.Username())
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return address{}, errors.New("the database's address has malformed parameters")
	}
	if p := q.Get("password"); p != "" {
		a.password = p
	}
	if q.Get("sslpassword") != "" {
		// libpq takes it from the command line alone.
		return address{}, errors.New("an encrypted client key (sslpassword) can't be used with pg_dump")
	}
	for name := range q {
		if !passedOn(name) {
			q.Del(name)
		}
	}
	// libpq does not read "+" as a blank.
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	u.Fragment, u.RawFragment = "", ""
	a.url = u.String()
	return a, nil
}

// passedOn reports whether a parameter of an address is libpq's. Others are
// the driver's, or settings of the session, which pg_dump makes itself.
func passedOn(name string) bool {
	switch name {
	case "host", "hostaddr", "port", "dbname", "user", "connect_timeout", "options",
		"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
		"sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "sslnegotiation",
		"ssl_min_protocol_version", "ssl_max_protocol_version", "sslcertmode", "requirepeer", "channel_binding",
		"require_auth", "gssencmode", "krbsrvname", "gsslib", "gssdelegation", "target_session_attrs", "load_balance_hosts":
		return true
	}
	return false
}

// scrub takes the password out of a text, as it is and as an address writes it.
func (a address) scrub(s string) string {
	if a.password == "" {
		return s
	}
	for _, secret := range []string{a.password, url.QueryEscape(a.password), url.PathEscape(a.password)} {
		s = strings.ReplaceAll(s, secret, "[redacted]")
	}
	return s
}
