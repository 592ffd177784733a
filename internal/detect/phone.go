package detect

import (
	"regexp"
	"strings"
)

// countryCodes are those of the telephone network (ITU E.164).
const countryCodes = " 1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98" +
	" 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299" +
	" 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 420 421 423" +
	" 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692" +
	" 850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994 995 996 998 "

var (
	// A number with its country's code.
	abroad = regexp.MustCompile(`^(?:\+|00)[ ]?[1-9][0-9 ()./\x{00a0}-]{5,22}[0-9](?: ?(?:x|ext\.?|Durchwahl) ?\d{1,5})?$`)
	// Numbers as countries write them, with separators: (030) 1234-56,
	// 06 12 34 56 78, 555-010-1234, (11) 91234-5678.
	national = regexp.MustCompile(`^(?:` +
		`\(0\d{1,5}\)[ /-]?\d[\d -]{3,12}\d` +
		`|0\d{1,5}[ /-]+\d[\d -]{3,12}\d` +
		`|0\d(?:[ .-]?\d\d){4}` +
		`|(?:\+?1[ .-])?\(?[2-9]\d\d\)?[ .-][2-9]?\d{2,3}[ .-]\d{4}(?: ?(?:x|ext\.?) ?\d{1,5})?` +
		`|\(\d\d\) ?9?\d{4}-\d{4}` +
		`|\d\d 9\d{4}-?\d{4}` +
		`|[6-9]\d\d(?: \d\d){3}|[26789]\d\d \d{3} \d{3}|[26789]\d \d{3} \d\d \d\d` +
		`|3\d\d[ /.-]\d{6,7}|3\d\d \d{3} \d{4}` +
		`)$`)
	// Digits alone, as people key them in: only where the name agrees.
	keyed = regexp.MustCompile(`^(?:\d{3}-\d{4}|0\d{8,11}|[1-9]\d{8,12})$`)
	dated = regexp.MustCompile(`^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[ T].*)?$`)
)

// isPhone takes numbers that are written as phone numbers and nothing else is.
func isPhone(s string) bool {
	digits := count(s)
	if digits < 7 || digits > 18 || len(s) > 32 || dated.MatchString(s) {
		return false
	}
	if abroad.MatchString(s) {
		code := strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(s, "+"), "00"), " ")
		for n := 1; n <= 3 && n < len(code); n++ {
			if strings.Contains(countryCodes, " "+code[:n]+" ") {
				return true
			}
		}
		return false
	}
	return national.MatchString(s)
}

// isKeyedPhone takes digits that may be a phone number.
func isKeyedPhone(s string) bool { return isPhone(s) || keyed.MatchString(s) }

// count is how many digits s has.
func count(s string) (n int) {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}
