package tsql

import (
	"regexp"
	"strings"
)

// Which collations there are, after Microsoft's pages "Windows collation name" and "SQL Server collation name", and which of them this package compares
// by. What exists and is not understood is error 50900; what does not exist is 448.

// collationInfo is one collation.
type collationInfo struct {
	name  string // as SQL Server spells it
	rules collation
	// wide: its code page is not 1252, or is UTF-8; so only its nchar and nvarchar are understood.
	wide   bool
	refuse string // why it is not understood; "" if it is
}

// DefaultCollation is that of a session whose Options name none.
const DefaultCollation = "SQL_Latin1_General_CP1_CI_AS"

// designators are the names of the Windows collations with the versions that each has: 0 is none written (80), then 90, 100, 140. Those that begin with
// ! have code page 1252.
var designators = func() map[string]designator {
	m := map[string]designator{}
	for versions, names := range map[string]string{
		"0,100": `Albanian Arabic Croatian Cyrillic_General Czech Estonian !Finnish_Swedish !French Georgian_Modern_Sort !German_PhoneBook Greek Hebrew Hungarian
			Hungarian_Technical !Icelandic !Latin1_General Latvian Lithuanian !Modern_Spanish Polish Romanian Slovak Slovenian Thai !Traditional_Spanish Turkish
			Ukrainian Vietnamese`,
		"0,90":   "Chinese_PRC Chinese_PRC_Stroke Chinese_Taiwan_Bopomofo Chinese_Taiwan_Stroke Japanese",
		"0":      "!Danish_Norwegian Japanese_Unicode Korean_Wansung",
		"90":     "Chinese_Hong_Kong_Stroke",
		"90,100": `Azeri_Cyrillic Azeri_Latin Divehi Indic_General Kazakh Korean Macedonian_FYROM Syriac Tatar Uzbek_Latin`,
		"100": `Assamese Bashkir Bengali Bosnian_Cyrillic Bosnian_Latin Breton Chinese_Simplified_Pinyin Chinese_Simplified_Stroke_Order Chinese_Traditional_Bopomofo
			Chinese_Traditional_Pinyin Chinese_Traditional_Stroke_Count Chinese_Traditional_Stroke_Order Corsican Danish_Greenlandic Dari Frisian Khmer Lao Maltese
			Maori Mapudungan Mohawk Nepali Norwegian Pashto Persian Romansh Sami_Norway Sami_Sweden_Finland Serbian_Cyrillic Serbian_Latin Tamazight Tibetan
			Turkmen Uighur Upper_Sorbian Urdu Welsh Yakut`,
		"100,140": "Japanese_Bushu_Kakusu Japanese_XJIS",
	} {
		for _, n := range strings.Fields(names) {
			d := designator{name: strings.TrimPrefix(n, "!"), latin: n[0] == '!', versions: map[string]bool{}}
			for _, v := range strings.Split(versions, ",") {
				d.versions[strings.TrimPrefix(v, "0")] = true
			}
			m[strings.ToUpper(d.name)] = d
		}
	}
	return m
}()

type designator struct {
	name     string
	latin    bool // code page 1252
	versions map[string]bool
}

var (
	windowsName = regexp.MustCompile(`^([A-Z0-9_]+?)(?:_(90|100|140))?_(?:(BIN2?)|(CI|CS)_(AI|AS)(_KS)?(_WS)?)(_SC)?(_VSS)?(_UTF8)?$`)
	// The SQL_ collations: sort orders of older code pages. Only those of code page 1252 with the plain order are understood.
	sqlName = regexp.MustCompile(`(?i)^SQL_(1xCompat|AltDiction|AltDiction2|AltDiction_Pref|Croatian|Czech|Danish_Pref|EBCDIC[0-9]{3}(?:_2)?|Estonian|Hungarian|Icelandic_Pref|Latin1_General|` +
		`Latin1_General_Pref|Latvian|Lithuanian|MixDiction|Polish|Romanian|Scandinavian|Scandinavian_Pref|Slovak|Slovenian|SwedishPhone_Pref|SwedishStd_Pref|Ukrainian)` +
		`_CP([0-9]+)_(CI_AI|CI_AS|CS_AS|BIN2?)$`)
)

// findCollation gives nil for a name that is no collation's.
func findCollation(name string) *collationInfo {
	if m := sqlName.FindStringSubmatch(name); m != nil {
		return sqlCollation(name, m)
	}
	m := windowsName.FindStringSubmatch(strings.ToUpper(name))
	if m == nil {
		return nil
	}
	d, ok := designators[m[1]]
	version, binary, utf8 := m[2], m[3] != "", m[10] != ""
	switch {
	case !ok || !d.versions[version]:
		return nil
	case version == "" && (m[8] != "" || utf8), m[9] != "" && version != "140":
		return nil
	case binary && (m[8] != "" || m[9] != "" || utf8 && m[3] != "BIN2"), !binary && utf8 && m[8] == "" && version != "140":
		return nil
	}
	info := &collationInfo{name: d.name + strings.ToUpper(name[len(d.name):]), wide: !d.latin || utf8}
	switch {
	case m[3] == "BIN":
		info.rules = collBin
	case m[3] == "BIN2":
		info.rules = collBin2
	case m[4] == "CS":
		info.rules = collCS
	}
	if m[5] == "AI" {
		info.rules |= collASCII
	}
	switch {
	case !binary && d.name != "Latin1_General":
		info.refuse = "the language's own rules; Latin1_General and the binary collations are understood"
	case m[8] != "" || m[9] != "" || version == "140":
		info.refuse = "supplementary characters and variation selectors that count as one"
	}
	return info
}

func sqlCollation(name string, m []string) *collationInfo {
	info := &collationInfo{name: strings.ToUpper(name), rules: collNoCase, wide: m[2] != "1"}
	switch m[3] = strings.ToUpper(m[3]); m[3] {
	case "BIN":
		info.rules = collBin
	case "BIN2":
		info.rules = collBin2
	case "CI_AI":
		info.rules = collASCII
	case "CI_AS":
		info.rules = collCI
	default:
		info.rules |= collCS
	}
	switch {
	case !strings.EqualFold(m[1], "Latin1_General"):
		info.refuse = "an order of its own"
	case m[2] != "1" && m[3][:3] != "BIN":
		info.refuse = "another code page than 1252"
	default:
		info.name = "SQL_Latin1_General_CP" + m[2] + "_" + m[3]
	}
	return info
}

// CheckCollation tells whether a session can have a collation as its own: nil, 448 for a name that is none, or 50900 with the reason.
func CheckCollation(name string) *Error {
	switch info := findCollation(name); {
	case info == nil:
		return NewError(448, 16, 1, "Invalid collation '%s'.", name)
	case info.refuse != "":
		return NotImplemented("the collation " + info.name + " (" + info.refuse + ")")
	case info.wide:
		return NotImplemented("the collation " + info.name + " (char and varchar in another code page than 1252)")
	}
	return nil
}
