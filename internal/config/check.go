package config

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The shapes of names.
var (
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`)
	ownName        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	twinName       = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)
	neonID         = regexp.MustCompile(`^[a-z0-9-]{1,60}$`)
)

// Each check returns what is wrong in words that follow a name, or "".

// checkPostgresURL accepts the address of one database, reached directly.
// A pooler gives sessions away between transactions: LISTEN, advisory locks,
// exported snapshots and settings then silently do nothing or go wrong.
func checkPostgresURL(value string) string {
	if !strings.Contains(value, "://") {
		if strings.Contains(value, "=") {
			return "is a key=value connection string; write it as a URL, postgres://user:password@host/database"
		}
		return "is no URL"
	}
	u, err := url.Parse(value)
	if err != nil { // its text repeats the value
		return "can't be parsed as a URL; a password with special characters must be percent-encoded"
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "must begin with postgres:// or postgresql://"
	}
	hosts := u.Host + "," + u.Query().Get("host")
	if hosts == "," {
		return "names no host"
	}
	if strings.Trim(u.Path, "/") == "" && u.Query().Get("dbname") == "" {
		return "names no database; add it after the host, as in /neontwin"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if first, _, _ := strings.Cut(host, "."); strings.HasSuffix(first, "-pooler") {
			return "names a pooled host (-pooler); the direct host must be used: the same name without -pooler"
		}
	}
	return ""
}

// checkWebURL accepts an absolute http or https address without a user,
// query or fragment.
func checkWebURL(value string) string {
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "must be an absolute http or https URL"
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "must have no user, query or fragment"
	}
	return ""
}

// checkAPIURL is checkWebURL for where credentials are sent: in the clear only
// to this machine.
func checkAPIURL(value string) string {
	if what := checkWebURL(value); what != "" {
		return what
	}
	u, _ := url.Parse(value)
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return "must be https: tokens are sent to it; http is for this machine alone"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkAddr(value string) string {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return "must be host:port, where the host may be empty"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "must end in a port from 0 to 65535"
	}
	return ""
}

func checkRepository(value string) string {
	if !repositoryName.MatchString(value) {
		return "must be a repository as owner/name"
	}
	return ""
}

func checkName(value string) string {
	if !ownName.MatchString(value) {
		return "must be 1 to 63 letters, digits, dots, underscores or hyphens, a letter or digit first"
	}
	return ""
}

// checkTwinName is for a name on check runs, where repositories' files must
// have the same shape.
func checkTwinName(value string) string {
	if !twinName.MatchString(value) || value == "configuration" {
		return "must be 1 to 39 lower-case letters, digits or hyphens, no hyphen first, and not the word configuration"
	}
	return ""
}

// checkMaskKey accepts 32 bytes in hexadecimal digits.
func checkMaskKey(value string) string {
	if b, err := hex.DecodeString(value); err != nil || len(b) != 32 {
		return "must be 64 hexadecimal digits, made by: openssl rand -hex 32"
	}
	return ""
}

// checkColumns accepts what may be the name of a column or a pattern of some.
// Whether it is one is told when the service starts.
func checkColumns(value string) string {
	if strings.Count(value, ".") < 2 || strings.ContainsAny(value, "\n\r\x00") {
		return "must name columns by schema, table and column"
	}
	return ""
}

func checkHazard(value string) string {
	if !harmless.MatchString(value) {
		return "must be the name of a hazard, as twin plan prints it"
	}
	return ""
}

func checkNeonProject(value string) string {
	if !neonID.MatchString(value) {
		return "must be a project's id: lower-case letters, digits and hyphens"
	}
	return ""
}

func checkNotLong(value string) string {
	if len(value) > 255 || strings.ContainsAny(value, "\x00\r\n") {
		return "must be one line of at most 255 bytes"
	}
	return ""
}

// minSecret is the shortest webhook secret: 256 bits written in whatever way.
const minSecret = 32

func checkWebhookSecret(value string) string {
	if len(value) < minSecret {
		return "must have at least 32 bytes"
	}
	return ""
}

// privateKey reads an RSA key as PEM, or as base64 of PEM, and gives the PEM.
// Newlines written as \n are accepted: some stores of secrets keep one line.
func privateKey(value string) (key, what string) {
	const begin = "-----BEGIN"
	if !strings.Contains(value, begin) {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
		if err != nil || !strings.Contains(string(b), begin) {
			return "", "is neither PEM nor base64 of PEM; to name a file, set GITHUB_PRIVATE_KEY_FILE"
		}
		value = string(b)
	}
	if !strings.Contains(strings.TrimSpace(value), "\n") {
		value = strings.ReplaceAll(value, `\n`, "\n")
	}
	block, _ := pem.Decode([]byte(value))
	if block == nil {
		return "", "is cut off or damaged: no whole PEM block"
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return value, ""
	}
	if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil || !isRSA(k) {
		return "", "is no RSA private key that can be read without a passphrase"
	}
	return value, ""
}

func isRSA(key any) bool {
	_, ok := key.(*rsa.PrivateKey)
	return ok
}

// place tells databases apart by where they are, whoever connects: lower-case
// host, port and database. It is "" where that can't be told.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	return strings.ToLower(u.Hostname()) + ":" + port + "/" + strings.Trim(u.Path, "/")
}
