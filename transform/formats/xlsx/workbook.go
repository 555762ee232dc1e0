package xlsx

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"strings"

	"longitude/study"
)

// workbook is what the sheets of an object have in common.
type workbook struct {
	parts    map[string]*zip.File // by path in lower case: names of parts have no case
	from1904 bool                 // dates count from 1904, not 1900
	sheets   []listed
	styles   []style // of cells, by the number that cells give
	shared   shared
}

// listed is a sheet in the workbook's list.
type listed struct {
	name   string
	part   string // "" when it is a chart or macro sheet
	hidden bool
}

const contentType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"

// openWorkbook reads everything but the sheets.
func openWorkbook(object []byte) (*workbook, error) {
	if bytes.HasPrefix(object, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) {
		return nil, &study.Error{Code: "xlsx.encrypted", Op: "opening a workbook that has a password, or is of the old .xls kind",
			Hint: "save it as .xlsx without a password: the transfer and the landing store keep it safe"}
	}
	z, err := zip.NewReader(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return nil, notWorkbook("it is not a whole zip archive")
	}
	w := &workbook{parts: make(map[string]*zip.File, len(z.File))}
	var size uint64
	for _, f := range z.File {
		if size += min(f.UncompressedSize64, maxUnzipped+1); size > maxUnzipped {
			return nil, tooLarge(fmt.Sprintf("unzipping a workbook of more than %d MiB", maxUnzipped>>20))
		}
		w.parts[strings.ToLower(strings.Trim(strings.ReplaceAll(f.Name, `\`, "/"), "/"))] = f
	}
	top, err := w.relations("")
	if err != nil {
		return nil, err
	}
	main := top.kind("officeDocument")
	if err := w.checkKind(main); err != nil {
		return nil, err
	}
	return w, w.read(main)
}

func notWorkbook(why string) error {
	return &study.Error{Code: "xlsx.not_workbook", Op: "opening an object that is no .xlsx workbook: " + why,
		Hint: "deliver an Excel workbook (.xlsx); macros (.xlsm), binary workbooks (.xlsb) and templates are not read"}
}

// checkKind refuses what is no plain workbook, by the content type of its main part.
func (w *workbook) checkKind(main string) error {
	var types struct {
		Override []struct {
			PartName    string `xml:",attr"`
			ContentType string `xml:",attr"`
		}
	}
	if main == "" || w.parts["[content_types].xml"] == nil {
		return notWorkbook("the archive holds something else")
	}
	if err := w.parse("[content_types].xml", "the list of parts", &types); err != nil {
		return err
	}
	for _, t := range types.Override {
		if strings.EqualFold(strings.Trim(t.PartName, "/"), main) && t.ContentType == contentType {
			return nil
		}
	}
	return notWorkbook("its content is of another kind")
}

// read reads the workbook's main part and those that it names.
func (w *workbook) read(main string) error {
	var doc struct {
		Properties struct {
			Date1904 string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			Name  string `xml:"name,attr"`
			State string `xml:"state,attr"`
			ID    string `xml:"id,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := w.parse(main, "the list of sheets", &doc); err != nil {
		return err
	}
	related, err := w.relations(main)
	if err != nil {
		return err
	}
	w.from1904 = doc.Properties.Date1904 == "1" || doc.Properties.Date1904 == "true"
	for _, s := range doc.Sheets {
		w.sheets = append(w.sheets, listed{name: s.Name, part: related.sheet(s.ID), hidden: s.State == "hidden" || s.State == "veryHidden"})
	}
	if err := w.readStyles(related.kind("styles")); err != nil {
		return err
	}
	return w.readShared(related.kind("sharedStrings"))
}

// choose finds the sheet of that name; "" is the first that people see.
func (w *workbook) choose(name string) (part string, err error) {
	for i, s := range w.sheets {
		switch {
		case name == "" && (s.hidden || s.part == ""), name != "" && s.name != name:
			continue
		case s.part == "":
			return "", &study.Error{Code: "xlsx.sheet_kind", Op: fmt.Sprintf("reading sheet %d of the workbook, which has no cells", i+1),
				Hint: "it is a chart or macro sheet: name another one in `table`"}
		}
		return s.part, nil
	}
	e := &study.Error{Code: "xlsx.sheet_unknown", Op: fmt.Sprintf("looking for the sheet that `table` names among the %d of the workbook", len(w.sheets)),
		Hint: "write the name as it stands on the sheet's tab, or leave `table` out to read the first visible sheet"}
	if name == "" {
		e.Op, e.Hint = fmt.Sprintf("looking for a visible sheet with cells among the %d of the workbook", len(w.sheets)), "name a hidden one in `table`"
	}
	return "", e
}

// related is a part that another part names.
type related struct{ id, kind, part string }

type relations []related

// kind is the first part of that kind, "" when there is none.
func (r relations) kind(kind string) string {
	for _, one := range r {
		if one.kind == kind {
			return one.part
		}
	}
	return ""
}

// sheet is the part of that id, "" when it is no sheet with cells.
func (r relations) sheet(id string) string {
	for _, one := range r {
		if one.id == id && one.kind == "worksheet" {
			return one.part
		}
	}
	return ""
}

// relations reads what a part names; "" is the package itself.
func (w *workbook) relations(part string) (relations, error) {
	dir, base := path.Split(part)
	name := dir + "_rels/" + base + ".rels"
	if w.parts[name] == nil {
		return nil, notWorkbook("it does not say what it holds")
	}
	var doc struct {
		Relationship []struct {
			ID     string `xml:"Id,attr"`
			Type   string `xml:",attr"`
			Target string `xml:",attr"`
			Mode   string `xml:"TargetMode,attr"`
		}
	}
	if err := w.parse(name, "the relations of parts", &doc); err != nil {
		return nil, err
	}
	var all relations
	for _, r := range doc.Relationship {
		if r.Mode == "External" {
			continue
		}
		target := strings.ToLower(strings.ReplaceAll(r.Target, `\`, "/"))
		if !strings.HasPrefix(target, "/") {
			target = dir + target
		}
		// Transitional and Strict workbooks name the kinds by different addresses.
		all = append(all, related{r.ID, path.Base(r.Type), strings.TrimPrefix(path.Clean("/"+target), "/")})
	}
	return all, nil
}

// open starts reading a part, which what describes.
func (w *workbook) open(part, what string) (io.Closer, *xml.Decoder, error) {
	f := w.parts[part]
	if f == nil {
		return nil, nil, damaged("", what)
	}
	r, err := f.Open()
	if err != nil {
		return nil, nil, damaged("", what)
	}
	return r, xml.NewDecoder(&measured{r: r}), nil
}

// parse reads a small part into doc.
func (w *workbook) parse(part, what string, doc any) error {
	if f := w.parts[part]; f != nil && f.UncompressedSize64 > maxSmall {
		return tooLarge("reading " + what + " of a workbook")
	}
	r, d, err := w.open(part, what)
	if err != nil {
		return err
	}
	defer r.Close()
	if d.Decode(doc) != nil {
		return damaged("", what)
	}
	return nil
}

// measured refuses markup or text of more than maxPiece bytes in one piece,
// which the XML decoder would hold in memory.
type measured struct {
	r io.Reader
	n int // bytes since the last "<"
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if i := bytes.LastIndexByte(p[:n], '<'); i >= 0 {
		m.n = n - i
	} else {
		m.n += n
	}
	if m.n > maxPiece {
		return 0, errEndless
	}
	return n, err
}

var errEndless = fmt.Errorf("more than %d bytes in one piece", maxPiece)
