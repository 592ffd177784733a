package refresh

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// mark is what we write into the comment of a database of ours. A comment is
// shared by all databases of a server, transactional, and survives a rename.
// Sweeps drop by it, never by a name alone.
type mark struct {
	// Neontwin is the format's version; a comment without it isn't ours.
	Neontwin int `json:"neontwin"`
	// State is what the database is.
	State markState `json:"state"`
	// Token is the run's that loaded it.
	Token string `json:"token"`
	// Twin is the database that it is, was or will be a generation of.
	Twin string `json:"twin"`
	// Comment is what the operator wrote there before us.
	Comment string `json:"comment,omitempty"`
	// Heritage are the statements that give back the owners and grants of a
	// Twin that is rebuilt in place: once it is emptied nothing else knows them.
	Heritage []string `json:"heritage,omitempty"`
}

type markState string

const (
	loading    markState = "loading"    // a run fills it
	live       markState = "live"       // it is the Twin
	previous   markState = "previous"   // it was the Twin until the last publish
	rebuilding markState = "rebuilding" // the Twin itself, being rebuilt in place
)

const markVersion = 1

func (m mark) String() string {
	m.Neontwin = markVersion
	b, _ := json.Marshal(m) // a struct of strings
	return string(b)
}

// parseMark reads a database's comment. ok is false where it isn't ours; such
// a comment is kept as the operator's.
func parseMark(comment string) (m mark, ok bool) {
	if !strings.HasPrefix(comment, "{") || json.Unmarshal([]byte(comment), &m) != nil || m.Neontwin == 0 {
		return mark{Comment: comment}, false
	}
	return m, true
}

// generationName names the database that a run loads: at most 40 bytes of the
// Twin's name, so that with the token it stays below a name's 63 bytes and no
// two runs ever share one.
func generationName(twin, token string) string {
	const most = 40
	if len(twin) > most {
		cut := most
		for !utf8.RuneStart(twin[cut]) {
			cut--
		}
		twin = twin[:cut]
	}
	return twin + "__" + token
}

// isGeneration reports whether name is one that generationName gives for twin.
func isGeneration(name, twin string) bool {
	token := strings.TrimPrefix(name, generationName(twin, ""))
	return token != name && token != "" && len(token) <= 16 && strings.Trim(token, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
