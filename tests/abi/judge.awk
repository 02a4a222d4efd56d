# SPDX-License-Identifier: MIT
# Judges whether the header keeps the promise: a line for each thing that is wrong, what,
# where, and what would be right. The facts come a line each, in any order, with tabs:
#
#   released MINOR DECLARATION   of each released minor of this major, in order
#   today DECLARATION            of the header, in order
#   ledger MINOR TEXT            of the header
#   layout MINOR NAME            what tests/abi/MAJOR.MINOR/layout.h asserts; STRUCT.MEMBER or a value
#   included MINOR               by tests/layout.c
#   last STRUCT MEMBER           behind which tests/layout.c wants no padding
# In major: the major.

BEGIN {
	FS = "\t"
	newest = top = -1
}

function wrong(text) {
	print text
}

function group_of(line) {
	return substr(line, 1, index(line, ": ") - 1)
}

# STRUCT.MEMBER, or the name of a value, a macro or a function.
function name_of(line,    group, text) {
	group = group_of(line)
	text = substr(line, length(group) + 3)
	if (group == "macro")
		return substr(text, 1, match(text " ", /[ (]/) - 1)
	if (group ~ /^enum /)
		return substr(text, 1, match(text " ", / /) - 1)
	if (match(text, /\(\*[a-z0-9_]+\)/))
		text = substr(text, RSTART + 2, RLENGTH - 3)
	else {
		sub(/\(.*|\[.*/, "", text)
		sub(/.*[ *]/, "", text)
	}
	return group ~ /^struct / ? substr(group, 8) "." text : text
}

function is_version(line) {
	return line ~ /^macro: BERTH_ABI_MINOR /
}

$1 == "released" && !is_version($3) {
	minor = $2 + 0
	if (minor > newest)
		newest = minor
	minors[minor] = 1
	released[minor, ++n_released[minor]] = $3
	was[minor, $3] = 1
	was_group[minor, group_of($3)] = 1
	was_name[minor, name_of($3)] = $3
}

$1 == "today" && is_version($2) {
	declared = substr($2, length("macro: BERTH_ABI_MINOR ") + 1) + 0
	next
}

$1 == "today" {
	group = group_of($2)
	today[++n_today] = $2
	place[$2] = n_today
	is_name[name_of($2)] = $2
	if (group ~ /^struct /) {
		last_member[substr(group, 8)] = name_of($2)
		members = $2
		sub(/\(.*/, "", members)
		if (members ~ /,/)
			wrong(group ": more than one member is declared at once in \"" $2 "\"; declare each by itself")
	}
}

$1 == "ledger" {
	if ($2 + 0 > top)
		top = $2 + 0
	ledger[++n_ledger] = $3
	ledger_minor[n_ledger] = $2 + 0
}

$1 == "layout" {
	has_layout[$3] = 1
	layouts[$2] = 1
}

$1 == "included" { included[$2] = 1 }

$1 == "last" { last[$2] = $2 "." $3 }

# Everything that was released is there as it was, and in the order in which it was.
function compare(minor,    i, line, name, group, reached) {
	for (i = 1; i <= n_released[minor]; i++) {
		line = released[minor, i]
		name = name_of(line)
		group = group_of(line)
		if (!(line in place)) {
			if (name in is_name)
				wrong(name ": it was \"" substr(line, length(group) + 3) "\" in " major "." minor \
				      " and is another now; what was released stays as it was")
			else
				wrong(name ": it was released with " major "." minor " and is gone; what was released stays")
			continue
		}
		if (group !~ /^(struct|enum) /)
			continue
		if (place[line] < reached[group])
			wrong(name ": it has moved since " major "." minor "; the order within a struct or an enum stays")
		else
			reached[group] = place[line]
	}
	for (i = 1; i <= n_today; i++) {
		group = group_of(today[i])
		if (!((minor, today[i]) in was) && !((minor, name_of(today[i])) in was_name) && i < reached[group])
			wrong(name_of(today[i]) ": it stands before what was released with " major "." minor \
			      "; append it at the end")
	}
}

# Whether a name, or what a name with a * at its end begins like, is what is meant.
function means(word, name) {
	if (word ~ /\*$/)
		return index(name, substr(word, 1, length(word) - 1)) == 1
	return word == name
}

# What the line of the ledger announces stands before its colon.
function announces(i, name,    words, n, j) {
	if (ledger_minor[i] <= newest)
		return 0
	n = split(substr(ledger[i], 1, index(ledger[i], ":") - 1), words, /[, ]+/)
	for (j = 1; j <= n; j++)
		if (words[j] != "" && means(words[j], name))
			return 1
	return 0
}

function is_announced(line,    i, name, object) {
	name = name_of(line)
	object = group_of(line)
	sub(/^struct /, "", object)
	for (i = 1; i <= n_ledger; i++)
		if (announces(i, name) || (!((newest, group_of(line)) in was_group) && announces(i, object)))
			return 1
	return 0
}

# Whether there is such a thing that was not there before.
function is_new(word,    i, object) {
	for (i = 1; i <= n_today; i++) {
		object = group_of(today[i])
		sub(/^struct /, "", object)
		if (!((newest, today[i]) in was) && (means(word, name_of(today[i])) || word == object))
			return 1
	}
	return 0
}

function check_ledger(    i, j, n, words) {
	for (i = 1; i <= n_today; i++)
		if (!((newest, today[i]) in was) && !((newest, name_of(today[i])) in was_name) && !is_announced(today[i]))
			wrong(name_of(today[i]) ": the ledger does not announce it; add \" *   " major "." newest + 1 "  " \
			      name_of(today[i]) ": WHAT FOR\"")
	for (i = 1; i <= n_ledger; i++) {
		if (ledger_minor[i] <= newest)
			continue
		n = split(substr(ledger[i], 1, index(ledger[i], ":") - 1), words, /[, ]+/)
		if (n == 0)
			wrong("the ledger, " major "." ledger_minor[i] ": no names before a colon; write \"NAME, NAME: WHAT FOR\"")
		for (j = 1; j <= n; j++)
			if (words[j] ~ /^(berth|BERTH)_/ && !is_new(words[j]))
				wrong("the ledger, " major "." ledger_minor[i] ": " words[j] \
				      " is announced, and is not new in the header; name what has been added")
	}
	if (declared != top)
		wrong("BERTH_ABI_MINOR is " declared ", and the newest line of the ledger is of " major "." top \
		      "; they have to be the same")
	if (declared < newest)
		wrong("BERTH_ABI_MINOR is " declared ", and " major "." newest " has been released; it never falls")
}

function check_layout(    i, name, group, minor, is_value) {
	for (i = 1; i <= n_today; i++) {
		name = name_of(today[i])
		group = group_of(today[i])
		if (group ~ /^struct / && !(name in has_layout)) {
			sub(/\./, ", ", name)
			wrong(name_of(today[i]) ": no file asserts where it is; add AT(" name \
			      ", OFFSET, SIZE) to the layout.h of its minor")
		}
		is_value = group ~ /^enum / || (group == "macro" && today[i] ~ /^macro: [A-Z0-9_]+ [^"]/)
		if (is_value && name != "BERTH_ABI_NEEDED" && !(name in has_layout))
			wrong(name ": no file asserts its value; add IS(" name ", VALUE) to the layout.h of its minor")
	}
	for (name in last_member)
		if (last[name] != last_member[name])
			wrong(name ": tests/layout.c does not say that there is no padding behind " last_member[name] \
			      ", its last member; change NO_PADDING_BEHIND(" name ", ...)")
	for (minor in layouts)
		if (!(minor in included))
			wrong("tests/layout.c does not include tests/abi/" major "." minor "/layout.h; it has to")
}

END {
	if (newest < 0) {
		wrong("no minor of " major " has been released; make one with tests/abi/build")
		exit
	}
	for (minor in minors)
		compare(minor + 0)
	check_ledger()
	check_layout()
}
