// Package migrate turns a configuration of Connaisseur 3 (the values of its Helm
// chart, or what the chart renders from them) into ConfigMaps and Secrets, and
// tells what is lost on the way, or decided differently from then on.
//
// Whatever cannot be carried over makes the result stricter, and never more
// lenient: a rule whose validator is lost denies, a rule that allows is left out,
// and where a rule that checks or denies would give way to a laxer one because
// patterns are anchored now, a rule is added that keeps it in its place. Only what a
// pattern found by chance, in the path of another registry or in a tag, gives way to
// a rule for the very registry or repository.
//
// It is pure: text in, objects and findings out.
package migrate
