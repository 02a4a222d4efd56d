# SPDX-License-Identifier: MIT
# Lists what the header declares, a line each, without comments and however it is laid
# out: "struct NAME: MEMBER", "enum FIRST: NAME = VALUE", "macro: NAME VALUE" (of a macro
# with arguments its name and them), "function: PROTOTYPE". Of what is for C++ alone, which
# is none of the ABI, there are only the macros. Names that end in _ are the header's own.

function squeeze(text) {
	gsub(/[ \t\n]+/, " ", text)
	gsub(/ *,/, ",", text)
	gsub(/\( /, "(", text)
	gsub(/ \)/, ")", text)
	sub(/^ /, "", text)
	sub(/ $/, "", text)
	return text
}

# The text up to the brace that belongs to the one at its beginning.
function body_of(text,    at, depth, c) {
	for (at = 1; at <= length(text); at++) {
		c = substr(text, at, 1)
		depth += (c == "{") - (c == "}")
		if (depth == 0)
			return substr(text, 1, at)
	}
	return text
}

function list(group, body, separator,    parts, n, i, part, held) {
	n = split(substr(body, 2, length(body) - 2), parts, separator)
	for (i = 1; i <= n; i++) {
		part = squeeze(parts[i])
		if (part == "")
			continue
		if (group == "enum")
			group = "enum " substr(part, 1, match(part " ", /[ =]/) - 1)
		print group ": " part
	}
}

function macro(line,    name, arguments, at) {
	sub(/^#[ \t]*define[ \t]+/, "", line)
	at = match(line " ", /[^A-Za-z0-9_]/)
	name = substr(line, 1, at - 1)
	line = substr(line, at)
	# Without a value it is the guard of the header.
	if (name ~ /_$/ || squeeze(line) == "")
		return
	if (line ~ /^\(/)
		line = substr(line, 1, index(line, ")"))
	else
		line = " " line
	line = squeeze(name line)
	if (!seen[line]++)
		print "macro: " line
}

{ text = text $0 "\n" }

END {
	# A comment is a space.
	while ((at = index(text, "/*")) > 0) {
		rest = substr(text, at + 2)
		text = substr(text, 1, at - 1) " " substr(rest, index(rest, "*/") + 2)
	}
	gsub(/\\\n/, " ", text)
	n = split(text, lines, "\n")
	for (i = 1; i <= n; i++) {
		line = lines[i]
		sub(/^[ \t]+/, "", line)
		if (line ~ /^#[ \t]*if/) {
			# 1: what follows is C++, -1: what comes behind #else is.
			cxx[++depth] = line !~ /__cplusplus|__cpp_|__EXCEPTIONS/ ? 0 : line ~ /ifndef|!/ ? -1 : 1
			hidden += cxx[depth] == 1
		} else if (line ~ /^#[ \t]*else/) {
			hidden -= cxx[depth]
			cxx[depth] = -cxx[depth]
		} else if (line ~ /^#[ \t]*endif/) {
			hidden -= cxx[depth--] == 1
		} else if (line ~ /^#[ \t]*define/) {
			macro(line)
		} else if (line !~ /^#/ && !hidden) {
			code = code line "\n"
		}
	}
	gsub(/__attribute__\(\([^;{]*\)\)/, "", code)
	while ((at = match(code, /[{;]/)) > 0) {
		head = squeeze(substr(code, 1, at - 1))
		code = substr(code, at)
		if (code ~ /^;/) {
			code = substr(code, 2)
			# That there is such a struct says nothing.
			if (head !~ /^struct [a-z0-9_]+$/)
				print "declaration: " head
			continue
		}
		body = body_of(code)
		code = substr(code, length(body) + 1)
		if (head ~ /^struct [a-z0-9_]+$/)
			list(head, body, ";")
		else if (head == "enum")
			list(head, body, ",")
		else
			print "function: " head
		if (head ~ /^(struct|enum)/)
			sub(/^[ \t\n]*;/, "", code)
	}
	if (squeeze(code) != "")
		print "declaration: " squeeze(code)
}
