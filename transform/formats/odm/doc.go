// Package odm decodes clinical data of CDISC ODM-XML 1.1, 1.2, 1.3 and 2.0, and
// describes the metadata of such files as study and source documents.
//
// A row is one form as filled in, or one item group where forms repeat their
// groups. Rows have no fixed columns: the mapping names items by their OID, and
// what is around them by the name of the attribute that says it ("@SubjectKey").
//
// The XML is read by a pull scanner of our own, because encoding/xml bounds neither
// depth nor tokens. It knows elements by namespace and local name, the five
// entities of XML and no others, and it never fetches a DTD. Memory is bounded by
// one row and one token, whatever the object's size.
package odm
