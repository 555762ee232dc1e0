package transform

// appendZip reads a US ZIP code: five digits, or nine with or without a dash. A
// column of numbers has lost the zeros that codes of the north-east begin with, so
// three and four digits are filled up where the mapping says that it is one. Other
// postcodes are no ZIP codes.
func appendZip(dst, text []byte, numeric bool) ([]byte, string) {
	digits := text
	if len(text) == 10 && text[5] == '-' {
		digits = append(append(make([]byte, 0, 9), text[:5]...), text[6:]...)
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return dst, ruleZip
		}
	}
	switch n := len(digits); {
	case n == 5:
		return append(dst, digits...), ""
	case n == 9:
		return append(append(append(dst, digits[:5]...), '-'), digits[5:]...), ""
	case numeric && (n == 3 || n == 4):
		return append(append(dst, "00"[:5-n]...), digits...), ""
	}
	return dst, ruleZip
}
