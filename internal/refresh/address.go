package refresh

import (
	"net/url"
	"strings"
)

// checkAddress refuses what can't work before anything is connected to. It
// never repeats the address: it holds a password.
func checkAddress(side, address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		return configFailure("the "+side+"'s address is not a postgres:// URL", "write postgres://user:password@host:5432/database")
	case u.Hostname() == "" && u.Query().Get("host") == "":
		return configFailure("the "+side+"'s URL names no host", "write postgres://user:password@host:5432/database")
	case strings.TrimPrefix(u.Path, "/") == "":
		return configFailure("the "+side+"'s URL names no database", "write postgres://user:password@host:5432/database")
	case strings.Contains(u.Hostname(), "-pooler."):
		return configFailure("the "+side+"'s URL leads to a connection pooler, through which no snapshot can be shared",
			"use the direct host: the same name without -pooler")
	}
	return nil
}

// withApp names the sessions of a program that is given the address.
func withApp(address, app string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set("application_name", app)
	u.RawQuery = q.Encode()
	return u.String()
}
