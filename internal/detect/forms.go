package detect

import "github.com/neontwin/neontwin/internal/mask"

// Literals gives the forms of personal data in the quoted literals of a
// definition; nil if there are none.
func Literals(string) []mask.Class { return nil }

// Values gives the form that most of the values are in, and how many are.
func Values([]string) (mask.Class, int) { return "", 0 }
