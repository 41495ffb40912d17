package tds

// high1252 holds what Windows-1252 has at 0x80 to 0x9F. The five bytes that it
// leaves undefined stand for themselves, as in Windows.
var high1252 = [32]rune{
	0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
	0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D, 0x8F,
	0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
	0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
}

// decode1252 decodes varchar and char.
func decode1252(b []byte) string {
	ascii := true
	for _, x := range b {
		if x >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		return string(b)
	}
	r := make([]rune, len(b))
	for i, x := range b {
		r[i] = rune(x)
		if x >= 0x80 && x < 0xA0 {
			r[i] = high1252[x-0x80]
		}
	}
	return string(r)
}

// append1252 encodes varchar and char; what has no place becomes a question mark.
func append1252(p []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r < 0x80, r >= 0xA0 && r <= 0xFF:
			p = append(p, byte(r))
		default:
			b := byte('?')
			for i, h := range high1252 {
				if h == r {
					b = byte(0x80 + i)
					break
				}
			}
			p = append(p, b)
		}
	}
	return p
}
