// Package mask makes stand-ins for personal values on their way from a source
// to a Twin.
//
// # Keys
//
// A Twin has one [Secret]. From it follows a [Key] for each domain, by HKDF. A
// domain is what values mean: equal values of one domain have equal stand-ins
// in every table, column and run, in both formats of COPY, and whichever worker
// meets them. Two domains have nothing in common. [Secret.ID] names a secret
// without telling it.
//
// # Canonical form
//
// What a database calls equal must have one stand-in: 1.0 and 1.00, an address
// and the same with /32, text in citext whatever its case. So each field is
// brought into the canonical form of its [Kind] first, and a [Masker] sees
// nothing else. Text is brought into NFC, which PostgreSQL does not do: a unique
// column that holds one word in two forms of Unicode loses that difference.
// E-mail addresses and user names that differ in case alone get stand-ins that
// differ in case alone.
//
// # Classes
//
// A [Rule] names a [Class]. [New] makes its masker for a column, or refuses
// where it could not hold: [Traits] say whether different values stay different
// (always, because it is a permutation; but for a stated chance; or not), how
// long a stand-in gets and of what it is made. Permutations are Feistel networks
// on SipHash. Nothing is stored and nothing is looked up, but for lists of words
// that are part of the program.
//
// NULL stays NULL, and empty text stays empty. A value that does not have the
// form of its class is masked all the same, less prettily; a field that does
// not have the form of its type is an error. Nothing that could not be masked
// passes.
//
// # Rows
//
// A [Rewriter] stands in a COPY stream, replaces the fields of masked columns and
// passes all others on. It keeps a [Tally] of each column: how many values and
// NULLs came by, about how many different ones there were before and after, and
// how many came out as they went in. [Tally.Leaks] holds these against chance,
// each with its own: what chance does not explain is a value that was not masked.
//
// # Documents
//
// JSON, XML and hstore keep their structure. Each value in them has the rule of
// its path, or that for the rest, by default free text. Keys that do not look
// like words are values too.
//
// # What a column demands
//
// A [Column] tells what its type, its domain and its CHECKs take: lengths,
// bounds, lists, a [Span] of time. [New] refuses the rule that can't keep to it.
//
// # What determinism gives away
//
// Who sees a Twin sees which rows have equal values, and how often each occurs:
// the commonest stand-in of a last name may well be the commonest name. Who can
// write to the source can learn the stand-in of a value of his choice. Who has
// the secret can test guesses, and undo permutations. Lengths stay, of text, of
// ids and of numbers, as do separators, the sign of numbers, what a rule keeps,
// and the keys of documents that look like words. Noise and shifted dates are
// near the truth. Where that is too much, null, redact and constant give
// nothing away, and a domain of its own keeps a column from being joined.
//
// Stand-ins can be somebody's by accident: a card number, an account, a phone
// number. They are for tables, not for use.
package mask
