package mask

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// dictionary picks words by the hash of a value in lower case.
type dictionary struct {
	key         Key
	list, lower []string
	least, most int // characters
}

// newDictionary cuts the words to what there is room for, and puts the next one
// that is long enough in the place of one that is not. The place of a word in
// the list stays, so that columns of different lengths agree as far as they
// can.
func newDictionary(key Key, list []string, least, room int) dictionary {
	d := dictionary{key: key, least: unbounded}
	long := func(w string) bool { return utf8.RuneCountInString(w) >= least }
	for i, w := range list {
		if !long(w) {
			if next := slices.IndexFunc(list[i:], long); next >= 0 {
				w = list[i+next]
			} else if next = slices.IndexFunc(list, long); next >= 0 {
				w = list[next]
			}
		}
		w = string(appendCut(nil, w, room))
		n := utf8.RuneCountInString(w)
		d.least, d.most = min(d.least, n), max(d.most, n)
		d.list = append(d.list, w)
		d.lower = append(d.lower, string(appendLower(nil, []byte(w))))
	}
	return d
}

// pick appends a word for v that is not v itself. Text that differs in case
// alone has one word.
func (d dictionary) pick(dst, v []byte) []byte {
	start := len(dst)
	dst = appendLower(dst, v)
	n := len(d.list)
	i := int(below(d.key.sum64(dst[start:]), uint64(n))) //nolint:gosec // below n
	for range n {
		if d.lower[i] != string(dst[start:]) {
			break
		}
		i = (i + 1) % n
	}
	return append(dst[:start], d.list[i]...)
}

// of gives the word for an entity.
func (d dictionary) of(entity []byte) string {
	return d.list[below(d.key.sum64(entity), uint64(len(d.list)))]
}

// appendCut appends at most n characters of a word.
func appendCut(dst []byte, word string, n int) []byte {
	if len(word) <= n {
		return append(dst, word...)
	}
	for i := range word {
		if n == 0 {
			return append(dst, word[:i]...)
		}
		n--
	}
	return append(dst, word...)
}

// unbounded is more characters than any word has.
const unbounded = 1 << 20

func (m *maker) dictionary(key Key, list []string) dictionary {
	return newDictionary(key, list, m.col.MinLen, m.room(unbounded))
}

func (m *maker) fromList(list []string, charset string) *Masker {
	d := m.dictionary(m.key, list)
	return &Masker{
		traits: Traits{MaxLen: d.most, MinLen: d.least, Charset: charset},
		mask:   func(dst, v, _ []byte) []byte { return d.pick(dst, v) },
	}
}

func buildName(m *maker) (*Masker, error) {
	if m.rule.Class == FirstName {
		return m.fromList(m.words.first, "a first name"), nil
	}
	return m.fromList(m.words.last, "a last name"), nil
}

// names are the keys of first and last names that belong to the domain of
// full names: by default those of FirstName and LastName, so that the columns
// of a row agree.
func (m *maker) names() (first, last Key) {
	domain := m.rule.Domain
	if domain == "" {
		domain = "person"
	}
	return m.secret.Domain(domain + ".first"), m.secret.Domain(domain + ".last")
}

// buildFullName masks what stands before the last space as first names and the
// rest as the last name, and both the other way round about a comma.
func buildFullName(m *maker) (*Masker, error) {
	firstKey, lastKey := m.names()
	first, last := newDictionary(firstKey, m.words.first, 0, unbounded), newDictionary(lastKey, m.words.last, m.col.MinLen, unbounded)
	room := m.room(unbounded)
	return &Masker{
		traits: Traits{MaxLen: min(first.most+2+last.most, room), MinLen: min(last.least, room), Charset: "a name"},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			if before, after, comma := bytes.Cut(v, []byte(",")); comma {
				dst = append(last.pick(dst, bytes.TrimSpace(before)), ", "...)
				dst = first.pick(dst, bytes.TrimSpace(after))
			} else if i := bytes.LastIndexByte(v, ' '); i >= 0 {
				dst = append(first.pick(dst, bytes.TrimSpace(v[:i])), ' ')
				dst = last.pick(dst, bytes.TrimSpace(v[i:]))
			} else {
				dst = last.pick(dst, v)
			}
			return cut(dst, start, room)
		},
	}, nil
}

// cut shortens what stands from start on to n characters.
func cut(dst []byte, start, n int) []byte {
	if len(dst)-start <= n {
		return dst
	}
	for i := start; i < len(dst); n-- {
		if n == 0 {
			return dst[:i]
		}
		_, width := utf8.DecodeRune(dst[i:])
		i += width
	}
	return dst
}

// handle makes names for machines: a first and a last name as far as there is
// room, and random characters that keep values apart. Only ASCII stands in it.
type handle struct {
	key         Key
	first, last []string
	random      int // characters of base 32
	names       int // characters of names
}

// newHandle fits a handle into room characters.
func (m *maker) newHandle(room int) (handle, error) {
	h := handle{key: m.key, first: m.words.ascii.first, last: m.words.ascii.last}
	h.random = max(m.width(4), min(m.col.MinLen, maxBase32))
	if h.random > room {
		if m.col.Unique {
			return h, fmt.Errorf("%d random characters keep the values apart, and there is room for %d", h.random, room)
		}
		h.random = room
	}
	if h.random < 1 {
		return h, errors.New("there is no room for a stand-in")
	}
	h.names = min(room-h.random, 24)
	return h, nil
}

func (h handle) append(dst, seed []byte) []byte {
	hi, lo := h.key.sum128(seed)
	if h.names >= 8 {
		start := len(dst)
		// The names come of the same bits as the last random characters would:
		// these say nothing about the others.
		s := stream{lo}
		dst = append(dst, h.first[s.pick(len(h.first))]...)
		dst = append(dst, '.')
		dst = append(dst, h.last[s.pick(len(h.last))]...)
		if len(dst)-start > h.names-1 {
			dst = dst[:start+h.names-1]
		}
		dst = append(dst, '.')
	}
	return appendBase32(dst, hi, lo, h.random)
}

func (h handle) most() int {
	if h.names < 8 {
		return h.random
	}
	return h.names + h.random
}

// chance is that of one stand-in among all.
func (h handle) chance() float64 {
	p := math.Ldexp(1, -5*h.random)
	if h.names >= 8 {
		p /= float64(len(h.first)) * 26 // the last name may be cut
	}
	return p
}

// buildUsername makes names that nobody has.
func buildUsername(m *maker) (*Masker, error) {
	h, err := m.newHandle(m.room(unbounded))
	if err != nil {
		return nil, err
	}
	key := m.key.sub("case")
	return &Masker{
		traits: Traits{Unique: Probable, Bits: 5 * h.random, MaxLen: h.most(), MinLen: h.random, Charset: "a-z2-7.", Chance: h.chance()},
		mask: func(dst, v, _ []byte) []byte {
			return withCase(dst, v, key, h.append)
		},
	}, nil
}

// withCase appends a stand-in of v in lower case. Where v has capitals, some of
// the stand-in's letters get them too: values that differ in case alone stay
// different where case counts, and equal where it does not.
func withCase(dst, v []byte, key Key, mask func(dst, lower []byte) []byte) []byte {
	start := len(dst)
	dst = appendLower(dst, v)
	lower := dst[start:]
	capital := !bytes.Equal(lower, v)
	middle := len(dst)
	dst = mask(dst, lower)
	dst = append(dst[:start], dst[middle:]...)
	if capital {
		s := key.stream(v)
		random := s.next() | 1<<63 // at least one
		// Without branches: which letters it is nobody can predict.
		for i, b := range dst[start:] {
			isLetter := (uint64(b-'a') - 26) >> 63            // 1 or 0
			dst[start+i] = b - byte(isLetter&(random>>63))<<5 //nolint:gosec // 1 or 0
			random = bits.RotateLeft64(random, int(isLetter))
		}
	}
	return dst
}

// The hosts of stand-ins belong to nobody (RFC 2606); the shorter one is for
// narrow columns.
const (
	mailHost      = "@example.com"
	shortMailHost = "@x.test"
)

// buildEmail makes addresses that reach nobody. The local part depends on the
// whole address, without regard to case. With KeepDomain the host is kept, and
// mail may arrive there.
func buildEmail(m *maker) (*Masker, error) {
	room, host := m.room(64), mailHost
	if m.rule.KeepDomain {
		host = ""
		if m.col.MaxLen > 0 {
			return nil, errors.New("the domain can't be kept in a column of limited length")
		}
	} else if room-len(host) < m.width(4)+8 {
		host = shortMailHost
	}
	h, err := m.newHandle(room - len(host))
	if err != nil {
		return nil, err
	}
	key := m.key.sub("case")
	most := h.most() + len(host)
	if m.rule.KeepDomain {
		most = 0
	}
	return &Masker{
		traits: Traits{Unique: Probable, Bits: 5 * h.random, MaxLen: most, MinLen: h.random + len(host), Charset: "an e-mail address", Chance: h.chance()},
		mask: func(dst, v, _ []byte) []byte {
			dst = withCase(dst, v, key, h.append)
			if host == "" {
				if at := bytes.LastIndexByte(v, '@'); at >= 0 {
					return append(dst, v[at:]...)
				}
				return append(dst, mailHost...)
			}
			return append(dst, host...)
		},
	}, nil
}

// buildTemplate fills the rule's text in.
func buildTemplate(m *maker) (*Masker, error) {
	parts, err := m.parseTemplate()
	if err != nil {
		return nil, err
	}
	bits, least, most, ways := 0, 0, 0, 1.0
	for _, p := range parts {
		bits += p.bits
		least += p.least
		most += p.most
		ways *= p.ways
	}
	room := m.room(unbounded)
	if most > room && m.col.Unique {
		return nil, fmt.Errorf("it gives up to %d characters, and there is room for %d", most, room)
	}
	bits = min(bits, 64) // what the stream is seeded with
	key := m.key
	unique := Probable
	if bits == 0 {
		unique = Lossy
	}
	if most > room {
		ways = 1 // who knows what is left
	}
	return &Masker{
		traits: Traits{Unique: unique, Bits: bits, MaxLen: min(most, room), MinLen: min(least, room), Charset: "the rule's text", Chance: 1 / ways},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			hi, lo := key.sum128(v)
			s := stream{hi ^ lo<<1}
			for _, p := range parts {
				dst, s = p.append(dst, s)
			}
			return cut(dst, start, room)
		},
	}, nil
}

// part is a piece of a template.
type part struct {
	append            func(dst []byte, s stream) ([]byte, stream)
	bits, least, most int
	ways              float64 // how many different ones there are
}

func (m *maker) parseTemplate() ([]part, error) {
	var parts []part
	text := norm.NFC.String(m.rule.Value)
	for text != "" {
		before, rest, open := strings.Cut(text, "{")
		if before != "" {
			n := utf8.RuneCountInString(before)
			parts = append(parts, part{ways: 1, least: n, most: n, append: func(dst []byte, s stream) ([]byte, stream) { return append(dst, before...), s }})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("a brace is not closed")
		}
		p, err := m.place(name)
		if err != nil {
			return nil, err
		}
		parts, text = append(parts, p), after
	}
	if len(parts) == 0 {
		return nil, errors.New("the template is empty")
	}
	return parts, nil
}

// place is what stands for one name in braces. All of a template's random
// numbers come of 64 bits: no more than these keep values apart.
func (m *maker) place(name string) (part, error) {
	word := func(list []string) part {
		d := newDictionary(m.key, list, 0, unbounded)
		return part{ways: float64(len(list)), least: d.least, most: d.most, append: func(dst []byte, s stream) ([]byte, stream) {
			word := list[s.pick(len(list))]
			return append(dst, word...), s
		}}
	}
	kind, size, _ := strings.Cut(name, ":")
	n, err := strconv.Atoi(size)
	if size == "" {
		n, err = 8, nil
	}
	if err != nil || n < 1 || n > 12 {
		return part{}, fmt.Errorf("{%s} has no length between 1 and 12", name)
	}
	switch kind {
	case "first":
		return word(m.words.first), nil
	case "last":
		return word(m.words.last), nil
	case "city":
		return word(m.words.city), nil
	case "hash":
		return part{ways: math.Ldexp(1, 5*n), bits: 5 * n, least: n, most: n, append: func(dst []byte, s stream) ([]byte, stream) {
			random := s.next()
			return appendBase32(dst, random, 0, n), s
		}}, nil
	case "digits":
		return part{ways: math.Pow10(n), bits: 3 * n, least: n, most: n, append: func(dst []byte, s stream) ([]byte, stream) {
			for range n {
				dst = append(dst, byte('0'+s.pick(10))) //nolint:gosec // a digit
			}
			return dst, s
		}}, nil
	}
	return part{}, fmt.Errorf("there is no {%s}", name)
}
