package detect

import (
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// harmless looks for a rule by which a column can be nobody's. A name that says
// something about a person, in this table or in another, is trusted to no rule.
func harmless(c Column, in place, words []string, said saying, s *sight) Finding {
	is := func(rule Harmless, confidence float64, reason string) Finding {
		return Finding{Harmless: rule, Confidence: confidence, Reason: reason}
	}
	clean := said.topic == "" && said.weak == "" || said.turned
	switch c.Kind {
	case mask.Bool:
		if clean {
			return is(Boolean, 0.9, "yes or no")
		}
	case mask.UUID:
		if clean && (c.Primary || c.Refers || keyed1(words)) {
			return is(SurrogateKey, 0.9, "a random key")
		}
	case mask.Int:
		switch {
		case c.Primary && (c.Identity || strings.HasPrefix(c.Default, "nextval(") || keyed1(words)), c.Refers && keyed1(words):
			return is(SurrogateKey, 0.9, "a key that the database made up")
		case !clean:
		case keyed1(words):
			return is(SurrogateKey, 0.7, "a key, by its name")
		case says(words, versions):
			return is(Version, 0.8, "a version, by its name")
		case says(words, counters) && !intimate(in, words):
			return is(Counter, 0.8, "a measure of a thing, by its name")
		}
	case mask.Numeric, mask.Float:
		if clean && says(words, counters) && !intimate(in, words) {
			return is(Counter, 0.8, "a measure of a thing, by its name")
		}
	case mask.Moment:
		if clean && says(words, moments) && (in.sort != people || says(words, noted)) {
			return is(RowTimestamp, 0.8, "when something happened to the row, by its name")
		}
	case mask.Enum:
		if clean {
			return is(Enum, 0.85, "one of the labels that the schema lists")
		}
	case mask.Text:
		return textRule(c, words, clean, s, is)
	}
	return Finding{}
}

func textRule(c Column, words []string, clean bool, s *sight, is func(Harmless, float64, string) Finding) Finding {
	switch {
	case !clean || c.Unique || c.Primary:
	case says(words, versions) && s.sentences == 0 && s.at == 0 && s.full == 0:
		return is(Version, 0.7, "a version or checksum, by its name")
	case s.n >= enough && says(words, codes) && s.sentences == 0 && s.at == 0 && s.full+s.first+s.last == 0 &&
		(s.distinct <= 2+s.n/2 || s.share(s.words) == 1):
		return is(Code, 0.7, "one of a few codes, by its name and its values")
	}
	return Finding{}
}

// intimate reports whether a measure may tell how a person lives or does.
func intimate(in place, words []string) bool {
	return in.sort != things && says(words, " score rating points level step valor wert value betrag montant importe amount salary weight height gewicht peso poids number rank punkte puntos ")
}

// keyed1 reports whether a name ends, or begins, as those of keys do.
func keyed1(words []string) bool {
	if len(words) == 0 {
		return false
	}
	isKey := func(w string) bool {
		return w == "id" || w == "uuid" || w == "guid" || w == "key" || w == "pk" || w == "fk"
	}
	return isKey(words[len(words)-1]) || isKey(words[0])
}

// says reports whether one of the words is in a list.
func says(words []string, list string) bool {
	for _, w := range words {
		if strings.Contains(list, " "+w+" ") {
			return true
		}
	}
	return false
}

// The words of the rules, with a blank on either side.
const (
	versions = " version revision rev checksum etag digest md crc sha versie versao versione lock "
	counters = " count cnt total sum amount qty quantity number size length width height weight price cost fee rate percent pct position rank priority sort order sequence seq index level step duration minutes seconds hours days bytes stock balance discount tax vat score points rating views clicks attempts retries capacity limit max min quota port page line lines depth ratio factor margin interval ttl year month week day hour" +
		" anzahl menge preis betrag summe gesamt groesse grosse laenge lange breite hoehe hohe gewicht rang reihenfolge position dauer bestand rabatt steuer punkte stueck stuck wert satz prozent jahr monat minuten sekunden" +
		" nombre quantite prix montant taille longueur largeur hauteur poids rang ordre duree remise taxe tva taux valeur annee mois" +
		" cantidad precio importe total tamano longitud ancho alto peso orden posicion duracion descuento impuesto iva tasa valor existencias ano mes unidades" +
		" quantidade preco montante tamanho comprimento largura altura ordem posicao duracao desconto imposto taxa estoque ano mes" +
		" aantal prijs bedrag totaal grootte lengte breedte hoogte gewicht volgorde positie duur voorraad korting belasting waarde jaar maand" +
		" quantita prezzo importo totale dimensione lunghezza larghezza altezza ordine posizione durata giacenza sconto imposta aliquota valore anno mese "
	moments = " at created updated modified deleted changed inserted timestamp ts time date on due start end starts ends begin from until to since expires expiry expiration valid published sent delivered shipped confirmed verified seen login last sync synced processed scheduled completed finished started cancelled canceled paid ordered placed refunded approved closed opened archived read received" +
		" erstellt geaendert geandert angelegt datum am zeit zeitpunkt uhrzeit beginn ende ab bis faellig fallig gueltig gultig versendet" +
		" cree creation modifie modification date heure debut fin echeance maj envoi le" +
		" creado creacion actualizado modificado modificacion fecha hora inicio fin vencimiento alta envio" +
		" criado criacao atualizado alterado data hora inicio fim vencimento envio em" +
		" aangemaakt gewijzigd datum tijd tijdstip begin einde vervaldatum verzonden op" +
		" creato creazione aggiornato modificato data ora inizio fine scadenza invio "
	// What a system notes by itself.
	noted = " created updated modified deleted changed inserted at sync synced processed login seen verified confirmed expires expiry expiration published sent erstellt geaendert geandert angelegt cree creation modifie modification maj creado creacion actualizado modificado criado criacao atualizado alterado inclusao aangemaakt gewijzigd mutatie creato creazione aggiornato modificato aggiornamento "
	codes = " status state type kind category currency locale language lang country timezone tz zone unit method channel source provider level priority role mode format gender scope action event stage step phase result outcome visibility color colour size region code reason class" +
		" typ art kategorie waehrung wahrung sprache land einheit kanal rolle stufe ergebnis zustand" +
		" statut etat categorie devise langue pays unite canal niveau" +
		" estado tipo categoria moneda idioma pais unidad canal nivel" +
		" situacao moeda unidade" +
		" soort categorie valuta taal eenheid kanaal niveau" +
		" stato valuta lingua paese unita canale livello "
)
