# Writes update.json: what R's update.formula makes of an old formula and a change.
#
#   Rscript tests/formula/reference/make_update.R
#
# Needs jsonlite. Made with R 4.2.2.
library(jsonlite)

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))

slope <- "Reaction ~ Days + (Days | Subject)"
crossed <- "y ~ a * b + x + (1 | g) + (0 + x | h)"
pairs <- list(
  c(slope, ". ~ . - Days"),
  c(slope, "log(.) ~ ."),
  c(slope, "~ . + x + (1 | h)"),
  c(slope, "~ . - (Days | Subject) + (1 | Subject)"),
  c(slope, ". ~ . + Days"),
  c(slope, ". ~ . + (Days | Subject)"),
  c(slope, ". ~ . - 1"),
  c(slope, ". ~ . + 0"),
  c(slope, ". ~ 0 + ."),
  c(slope, ". ~ . + I(Days^2) + offset(off)"),
  c(slope, ". ~ . * x"),
  c(slope, ". / 2 ~ ."),
  c(slope, "I(. - 200) ~ ."),
  c(slope, ". ~ x + ."),
  c(slope, "z ~ ."),
  c(slope, ". ~ . - Days - 1"),
  c(slope, ". ~ . + (1 | a/b)"),
  c(slope, ". ~ . + (x || h)"),
  c(slope, ". ~ . + poly(x, 2) + log(z + 1)"),
  c(slope, ". ~ . + x:Days + x"),
  c(slope, ". ~ . + x %in% Days"),
  c(slope, ". ~ . + (x + z)^2"),
  c(slope, ". ~ . + `a b` + x"),
  c("Reaction ~ (Days | Subject)", ". ~ . - 1"),
  c("log(y) ~ 0 + x + (1 | g)", ". ~ . + 1"),
  c("log(y) ~ 0 + x + (1 | g)", ". ~ ."),
  c("log(y) ~ 0 + x + (1 | g)", "exp(.) ~ . + z"),
  c("y + z ~ x + (1 | g)", ". / 2 ~ . + z"),
  c("y ~ x - 1 + (1 | g)", ". ~ . - x"),
  c("y ~ a / b + (1 | g)", ". ~ . - a:b"),
  c(crossed, ". ~ . - a:b"),
  c(crossed, ". ~ . - a"),
  c(crossed, ". ~ . - (1 | g)"),
  c(crossed, ". ~ . - (0 + x | h) - x"),
  c(crossed, ". ~ . - a * b"),
  c(crossed, ". ~ . + a:x"),
  c(crossed, ". ~ (.)"),
  c("y ~ x + offset(off) + (1 | g)", ". ~ . + z"),
  c("y ~ x + offset(off) + (1 | g)", ". ~ . - x"),
  c("y ~ x + offset(off) + a:x + (1 | g)", ". ~ . - 1"),
  c("y ~ x + offset(off) + (1 | g)", ". ~ . - offset(off)"),
  c("y ~ x + offset(off) + (1 | g)", ". ~ . + offset(o2)")
)
answers <- lapply(pairs, function(p) {
  new <- update(as.formula(p[1]), as.formula(p[2]))
  list(old = p[1], change = p[2], new = paste(deparse(new, width.cutoff = 500), collapse = ""))
})
writeLines(toJSON(answers, auto_unbox = TRUE, pretty = TRUE), file.path(room, "update.json"))
