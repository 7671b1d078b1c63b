package workload

import (
	"strconv"
	"strings"
)

// place is where something stands in an object: as kubectl writes it, and as an
// RFC 6901 JSON pointer. The zero value is the object itself.
type place struct{ field, pointer string }

// What is not part of a name in either spelling unless it is escaped.
var (
	forField = strings.NewReplacer(`\`, `\\`, ".", `\.`, ",", `\,`, "[", `\[`, "]", `\]`, "$", `\$`, "@", `\@`,
		"{", `\{`, "}", `\}`, " ", `\ `, "\t", "\\\t", "\r", "\\\r", "\n", "\\\n")
	forPointer = strings.NewReplacer("~", "~0", "/", "~1")
)

// key is the place of a field of what stands here.
func (p place) key(name string) place {
	field := forField.Replace(name)
	if p.field != "" {
		field = p.field + "." + field
	}
	return place{field, p.pointer + "/" + forPointer.Replace(name)}
}

// item is the place of an item of the list that stands here.
func (p place) item(i int) place {
	index := strconv.Itoa(i)
	return place{p.field + "[" + index + "]", p.pointer + "/" + index}
}
