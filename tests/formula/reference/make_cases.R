# How R reads formulas: writes cases_more.json and contrasts_cases.json beside this file.
# Made with R 4.2.2, lme4 1.1-31, splines 4.2.2.  Run here:  Rscript make_cases.R
#
# A field not in cases.json: `response`; `Zt`, the non-zero entries of Z transposed (0-based i, j);
# `r_formula`, the spelling given to lme4 when it cannot read `formula` itself;
# `refused`, what lme4 says under its default checks (the case is then made with them off);
# `contrasts` (by column) and `global` (unordered, ordered) in contrasts_cases.json.

suppressPackageStartupMessages({
  library(lme4)
  library(splines)
})

read_data <- function() {
  data <- read.csv("data.csv", check.names = FALSE, stringsAsFactors = FALSE)
  data$g <- factor(data$g, levels = letters[1:8])
  data$h <- factor(data$h, levels = c("u", "v", "w"))
  data$f <- factor(data$f, levels = c("lo", "mid", "hi"))
  data$o <- factor(data$o, levels = c("s", "m", "l"), ordered = TRUE)
  data$c4 <- factor(data$c4, levels = 1:4)
  data
}

# ---- JSON: the shortest decimal that reads back as the same double, a scalar without brackets ----

number <- function(x) {
  text <- formatC(x, digits = 15, format = "g", width = 1)
  for (digits in 16:17) {
    inexact <- as.numeric(text) != x
    text[inexact] <- formatC(x[inexact], digits = digits, format = "g", width = 1)
  }
  text
}

quoted <- function(x) encodeString(enc2utf8(x), quote = "\"")

json <- function(x) {
  if (is.null(x)) return("null")
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 1, json_row), collapse = ", "), "]"))
  if (is.list(x) && !is.null(names(x))) {
    members <- paste0(quoted(names(x)), ": ", vapply(x, json, ""))
    return(paste0("{", paste(members, collapse = ", "), "}"))
  }
  if (is.list(x)) return(paste0("[", paste(vapply(x, json, ""), collapse = ", "), "]"))
  text <- if (is.character(x)) quoted(x) else number(x)
  if (length(x) == 1) text else paste0("[", paste(text, collapse = ", "), "]")
}

json_row <- function(row) paste0("[", paste(number(row), collapse = ", "), "]")

write_cases <- function(cases, data, file) {
  columns <- c("g", "h", "f", "o", "c4")
  head <- paste0("{\"levels\": ", json(lapply(data[columns], levels)), ", \"ordered\": \"o\", \"cases\": [")
  writeLines(c(head, paste(vapply(cases, json, ""), collapse = ",\n"), "]}"), file)
}

# ---- One formula ----

unchecked <- lmerControl(
  check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore",
  check.nlev.gtr.1 = "ignore", check.rankX = "message+drop.cols", check.scaleX = "ignore"
)

refusal <- function(formula, data, contrasts) {
  tryCatch({
    suppressWarnings(suppressMessages(lFormula(formula, data, contrasts = contrasts)))
    NULL
  }, error = function(e) gsub("[[:space:]]+", " ", conditionMessage(e)))
}

random_terms <- function(re) {
  which_factor <- attr(re$flist, "assign")
  lapply(seq_along(re$cnms), function(i) {
    factor <- re$flist[[which_factor[i]]]
    list(group = names(re$cnms)[i], columns = re$cnms[[i]], levels = levels(factor))
  })
}

triplets <- function(Zt) {
  t <- as(drop0(Zt), "TsparseMatrix")
  order_ <- order(t@j, t@i)
  list(i = t@i[order_], j = t@j[order_], x = t@x[order_])
}

read_case <- function(text, data, r_text = NULL, contrasts = NULL) {
  formula <- as.formula(if (is.null(r_text)) text else r_text, env = globalenv())
  parsed <- suppressMessages(lFormula(formula, data, contrasts = contrasts, control = unchecked))
  X <- parsed$X
  offset <- model.offset(parsed$fr)
  case <- list(
    formula = text,
    fixed = if (ncol(X)) colnames(X) else character(0),
    dropped = names(attr(X, "col.dropped")),
    X = matrix(X, nrow(X)),
    offset = if (is.null(offset)) NULL else as.vector(offset),
    random = random_terms(parsed$reTrms),
    Z_row1_nonzero = unname(which(parsed$reTrms$Zt[, 1] != 0)),
    Z_colsum = unname(Matrix::rowSums(parsed$reTrms$Zt)),
    response = as.vector(model.response(parsed$fr)),
    Zt = triplets(parsed$reTrms$Zt),
    r_formula = r_text,
    refused = refusal(formula, data, contrasts)
  )
  c(case, list(contrasts = contrasts))
}

with_contrasts <- function(text, data, contrasts = NULL, global = NULL) {
  old <- options(contrasts = if (is.null(global)) getOption("contrasts") else global)
  on.exit(options(old))
  c(read_case(text, data, contrasts = contrasts), list(global = global))
}

try_case <- function(text, ...) {
  tryCatch(read_case(text, ...), error = function(e) stop(text, ": ", conditionMessage(e), call. = FALSE))
}

# ---- The formulas ----

groups <- c(
  "y ~ x + (1 | g:h)", "y ~ x + (1 | h:g)", "y ~ x + (1 | g/h/l)", "y ~ x + (1 | g:h:l)", "y ~ x + (1 | l:f:h)",
  "y ~ x + (1 | g) + (1 | h)", "y ~ x + (1 | h) + (1 | g)", "y ~ x + (1 | l) + (1 | h) + (1 | g)",
  "y ~ x + (1 | g) + (1 | h) + (1 | g:h)", "y ~ x + (1 | f/h) + (1 | g)", "y ~ x + (x | g/h)",
  "y ~ x + (1 | g) + (1 | g:f)", "y ~ x + (1 | l/f)", "y ~ x + (1 | o)", "y ~ x + (1 | o:l)", "y ~ x + (1 | s:l)",
  "y ~ x + (1 | c4:k)", "y ~ x + (1 | k)", "y ~ x + (1 | k/h)",
  "y ~ x + (1 | factor(k))", "y ~ x + (1 | interaction(f, h))", "y ~ x + (1 | factor(k):g)",
  "y ~ k + (1 | factor(k))", "y ~ x + (1 | factor(`my var` > 0))", "y ~ x + (1 | factor(k):factor(c4))"
)

ties <- c(
  "y ~ x + (1 | h) + (1 | f)", "y ~ x + (1 | f) + (1 | h)", "y ~ x + (1 | h) + (1 | f) + (1 | o)",
  "y ~ x + (1 | h) + (1 | f) + (1 | g)", "y ~ x + (1 | l) + (1 | f) + (1 | h) + (x | o)",
  "y ~ x + (1 | h) + (0 + x | h) + (1 | g)", "y ~ x + (x || h) + (x || g)", "y ~ x + (x || g) + (z || f)",
  "y ~ x + (1 | f) + (1 | g) + (0 + x | g) + (0 + z | f)", "y ~ x + (0 + x | g) + (1 | g)",
  "y ~ x + (1 | g) + (0 + x | h) + (0 + z | g)"
)

left <- c(
  "y ~ x + (0 + x | g)", "y ~ x + (-1 + x | g)", "y ~ x + (x + 0 | g)", "y ~ x + (1 + x | g)", "y ~ x + (x || g)",
  "y ~ x + (f || g)", "y ~ x + (0 + f || g)", "y ~ x + (x * z || g)", "y ~ x + (x + f || g)", "y ~ x + (x:f || g)",
  "y ~ x + (0 + x + z || g)", "y ~ x + (x * z | g)", "y ~ x + (poly(x, 2) | g)", "y ~ poly(x, 2) + (poly(x, 2) | g)",
  "y ~ x + (0 + poly(x, 2) | g)", "y ~ x + (ns(x, df = 3) | g)", "y ~ x + (I(x^2) | g)", "y ~ x + (x + I(x^2) | g)",
  "y ~ x + (f | g)", "y ~ x + (f - 1 | g)", "y ~ x + (0 + o | g)", "y ~ x + (l | g)", "y ~ x + (0 + l | g)",
  "y ~ x + (s | h)", "y ~ x + (0 + s | h)", "y ~ x + (0 + f:h | g)", "y ~ x + (f * x | h)", "y ~ x + (0 + f:x | g)",
  "y ~ x + (x:f | h)", "y ~ x + (f / x | h)", "y ~ x + (0 + x:o | g)", "y ~ x + (l:x | g)", "y ~ x + (f + h | g)",
  "y ~ x + (f + o - 1 | l)", "y ~ x + (factor(k) | h)", "y ~ x + (0 + dummy(f, \"mid\") | g)",
  "y ~ x + (dummy(f) | h)", "y ~ x + (0 + dummy(l, \"TRUE\"):x | g)", "y ~ x + (I(z > 1) | g)",
  "y ~ x + (0 + C(f, contr.sum) | g)", "y ~ x + (C(f, contr.helmert) | g)", "y ~ x + (as.numeric(f) | g)",
  "y ~ x + (`my var` | g)", "y ~ x + (0 + `my var` || g)", "y ~ x + (x + x | g)",
  "y ~ x + ((1 | g) + (0 + x | g))", "y ~ x + (((1 | g)) + z)", "y ~ x + ((x) | g)",
  "y ~ (1 | g) + x", "y ~ (x | h) + f + (1 | g) + z", "y ~ (1 | g)", "y ~ 0 + (1 | g)",
  "y ~ x + (1 | g) - 1", "y ~ f + (1 | g) + h:f"
)

fixed <- c(
  "y ~ x - 1", "y ~ 0 + x", "y ~ x + 0", "y ~ 0 + f * h", "y ~ f:h - 1", "y ~ 0 + h + f:x", "y ~ f + h - 1",
  "y ~ x:f - 1", "y ~ 0 + x + x:f", "y ~ x:f", "y ~ f:x", "y ~ f:h", "y ~ f/h", "y ~ f/h/l", "y ~ f/(h + x)",
  "y ~ (f + h)/x", "y ~ x/f", "y ~ f %in% h", "y ~ f + h %in% f", "y ~ (f + h)^2", "y ~ (f + h + l)^3 - f:h:l",
  "y ~ (x + z + f)^2", "y ~ f * h * x", "y ~ f * h * x - f:h:x", "y ~ f * x - x", "y ~ f * x - f", "y ~ f * h - f",
  "y ~ x + x + z", "y ~ f + f:h + h:f", "y ~ x * z + z * x", "y ~ x + z - x", "y ~ x:z:f", "y ~ x:f + f:h + z",
  "y ~ l * f", "y ~ l:f", "y ~ 0 + l:x", "y ~ l + h:l", "y ~ s * f", "y ~ s:h", "y ~ 0 + s", "y ~ x * s",
  "y ~ 0 + o", "y ~ 0 + x:o", "y ~ o:f", "y ~ o * f", "y ~ o:x + f", "y ~ 0 + f + o", "y ~ 0 + o + f", "y ~ c4 * l",
  "y ~ -1 + f:h + x", "y ~ (x + f) * (z + l)", "y ~ x + (z + f)", "y ~ 1 + x + 1", "y ~ x + 1 - 1", "y ~ x * z - 1",
  "y ~ (f * h) - h", "y ~ f + x %in% f:h", "y ~ (x + z)^2 + I(x^2)", "y ~ x^2", "y ~ f^2 + x", "y ~ h:f:x + f:h"
)

calls <- c(
  "y ~ I(x + z)", "y ~ I((x - 1)/2)", "y ~ I(x^2) + I(x^3)", "y ~ I(x * 1e-3)", "y ~ I(0.5 * x)", "y ~ I(-x)",
  "y ~ I(x * 100000)", "y ~ I(x * 1000)", "y ~ I(x / 0.00001)", "y ~ I(1.50 * x)", "y ~ I(x * 2L)", "y ~ I(x %% 2)",
  "y ~ I(x %/% 0.5)", "y ~ I(-(x + z)^2)", "y ~ I(2^-z)", "y ~ I(x*-1)", "y ~ I(x>0)", "y ~ (x > 0)",
  "y ~ I(!l)", "y ~ I(l & x > 0)", "y ~ f:I(x > 0)", "y ~ I(k == 2)", "y ~ (k != 2) + x", "y ~ I(f == 'hi')",
  "y ~ I(z == 0.5617 & x >= -1)", "y ~ exp(x)", "y ~ sqrt(z)", "y ~ sqrt(z + 1):f", "y ~ log(z, 2)", "y ~ log2(z)",
  "y ~ log10(z)", "y ~ log1p(z)", "y ~ sin(2 * pi * x)", "y ~ round(x, 1)", "y ~ scale(x)*f",
  "y ~ scale(x, scale = FALSE)", "y ~ scale(x, center = FALSE)", "y ~ scale(log(z))", "y ~ poly(x, 3)",
  "y ~ poly(x, degree = 2)", "y ~ poly(x, 1)", "y ~ poly(x, 2, raw = TRUE)", "y ~ poly(x, 2):f", "y ~ poly(x, 2) * h",
  "y ~ 0 + poly(x, 2):f", "y ~ poly(log(z), 2)", "y ~ ns(x, 3)", "y ~ ns(x, knots = c(0, 1))",
  "y ~ ns(x, df = 4, intercept = TRUE)", "y ~ ns(x, 2):f", "y ~ ns(x, df = 3, Boundary.knots = c(-3, 3))",
  "y ~ bs(x, df = 5)", "y ~ bs(x)", "y ~ bs(x, knots = 0, degree = 2)", "y ~ cut(x, 3)", "y ~ cut(x, breaks = c(-5, 0, 5))",
  "y ~ cut(x, c(-5, 0, 5), labels = c(\"neg\", \"pos\"))", "y ~ cut(z, c(0, 1, 2, 3), right = FALSE)",
  "y ~ factor(k):x", "y ~ 0 + factor(k)", "y ~ factor(f, levels = c(\"hi\", \"lo\", \"mid\"))",
  "y ~ factor(f, levels = c('hi','lo','mid','none'))", "y ~ factor(l)", "y ~ factor(o, ordered = FALSE)",
  "y ~ factor(k, ordered = TRUE)", "y ~ ordered(h)", "y ~ relevel(f, ref = \"mid\")", "y ~ relevel(f, 'hi'):x",
  "y ~ as.numeric(k)", "y ~ as.numeric(f)", "y ~ as.factor(k)", "y ~ as.integer(l)", "y ~ as.numeric(l) * x",
  "y ~ as.character(f)", "y ~ ifelse(f == \"hi\", x, 0)", "y ~ ifelse(x > 0, \"up\", \"down\")", "y ~ pmax(x, 0)",
  "y ~ pmin(pmax(x, -1), 1)", "y ~ pmax(x, z)", "y ~ abs(x):f", "y ~ interaction(f, l):x", "y ~ interaction(f, l, sep = \"_\")",
  "y ~ offset(z)", "y ~ x + offset(z) + offset(x)", "y ~ x + offset(2*z)", "y ~ offset(log(z)) + f", "y ~ x + offset(z) - 1",
  "y ~ C(f, contr.helmert)", "y ~ C(o, contr.treatment)", "y ~ C(f, contr.poly)",
  "y ~ C(f, contr.treatment(3, base = 2))", "y ~ C(f, contr.treatment, base = 3)", "y ~ C(f, \"contr.sum\") * x",
  "y ~ C(f, contr.sum):h", "y ~ 0 + C(f, contr.sum)", "y ~ C(factor(k), contr.helmert)", "y ~ C(f, contr.SAS)"
)

names_and_numbers <- c(
  "y ~ `my var`", "y ~ I(`my var`^2)", "y ~ poly(`my var`, 2)", "y ~ `my var` * f", "y ~ f:`my var`", "y ~ log(abs(`my var`))",
  "y ~ x + offset(`my var`)", "y ~ scale(`my var`):x", "`my var` ~ x", "y ~ `x` + `f`",
  "log(z) ~ x", "I(y^2) ~ x", "scale(y) ~ f", "sqrt(z) ~ x", "y + z ~ x", "log(z + 1) ~ x", "y/2 ~ x", "-y ~ x",
  "as.numeric(l) ~ x", "k ~ x",
  "y~x+f", "  y  ~  x   +   f:x ", "y ~\n  x +\n  log( z )", "y ~ I( x^2 )+poly(x,2 ,raw=TRUE)", "y ~ ns( x ,df=3 )",
  "y ~ factor( f,levels=c(\"hi\",'lo' , \"mid\") )", "y ~ ifelse(x>0,1,-1)", "y ~ pmin(x,-.5)"
)

deficient <- c(
  "y ~ x + I(2 * x)", "y ~ I(2 * x) + x + z", "y ~ f + interaction(f, l)", "y ~ f + C(f, contr.sum)", "y ~ x + scale(x) + f",
  "y ~ f + factor(f) + x", "y ~ k + factor(k)", "y ~ x + z + I(x + z) + I(x - z)", "y ~ I(0 * x) + f",
  "y ~ x + bs(x, df = 4) + poly(x, 3)"
)

# lmmpy's spelling = what lme4 1.1-31 can read
respelled <- c(
  "y ~ x + (1 | g * h)" = "y ~ x + (1 | g) + (1 | h) + (1 | g:h)",
  "y ~ x + (x | h * g)" = "y ~ x + (x | h) + (x | g) + (x | h:g)",
  "y ~ x + (1 | (g/h)/l)" = "y ~ x + (1 | g/h/l)",
  "y ~ x + (1 | g + h)" = "y ~ x + (1 | g) + (1 | h)",
  "y ~ x + (1 | f + h + g)" = "y ~ x + (1 | f) + (1 | h) + (1 | g)",
  "y ~ x + (x | g + h)" = "y ~ x + (x | g) + (x | h)",
  "y ~ x + us(x | g)" = "y ~ x + (x | g)",
  "y ~ x + us(1 | g/h)" = "y ~ x + (1 | g/h)",
  "y ~ us(x | g) + f" = "y ~ f + (x | g)",
  # lme4 itself drops the minus of "(bar) - 1" and keeps the intercept
  "y ~ (1 | g) - 1 + x" = "y ~ -1 + x + (1 | g)"
)

columns_cases <- list(
  list("y ~ f", list(f = "contr.sum")),
  list("y ~ f + h", list(f = "contr.sum", h = "contr.helmert")),
  list("y ~ f * h", list(f = "contr.sum", h = "contr.helmert")),
  list("y ~ f:x", list(f = "contr.sum")),
  list("y ~ f + f:x", list(f = "contr.helmert")),
  list("y ~ f:h", list(f = "contr.sum", h = "contr.sum")),
  list("y ~ 0 + f", list(f = "contr.sum")),
  list("y ~ 0 + f + h", list(f = "contr.sum", h = "contr.sum")),
  list("y ~ o", list(o = "contr.treatment")),
  list("y ~ o * x", list(o = "contr.sum")),
  list("y ~ f", list(f = "contr.poly")),
  list("y ~ f", list(f = "contr.SAS")),
  list("y ~ l * f", list(l = "contr.sum")),
  list("y ~ s * x", list(s = "contr.helmert")),
  list("y ~ c4 + x", list(c4 = "contr.helmert")),
  list("y ~ factor(k)", list(`factor(k)` = "contr.sum")),
  list("y ~ f + C(h, contr.treatment)", list(f = "contr.sum")),
  list("y ~ x + f + (f | g)", list(f = "contr.sum"))
)

sum_poly <- c("contr.sum", "contr.poly")
helmert_poly <- c("contr.helmert", "contr.poly")
global_cases <- c(
  lapply(c("y ~ f", "y ~ f * h", "y ~ f * x", "y ~ f:x", "y ~ o + f", "y ~ 0 + f + h", "y ~ l * f", "y ~ s",
           "y ~ factor(k)", "y ~ C(f, contr.treatment) + h", "y ~ f/h", "y ~ f:h", "y ~ x + (f | g)", "y ~ x + (o | g)", "y ~ x + (f:x | h)",
           "y ~ x + (l || g)", "y ~ x + (0 + f | g)"),
         function(text) list(text, sum_poly)),
  lapply(c("y ~ f", "y ~ f * h", "y ~ f * h * l", "y ~ o:f + x", "y ~ c4", "y ~ x + (f | g)", "y ~ x + (h + l | g)"),
         function(text) list(text, helmert_poly)),
  list(list("y ~ o * f", c("contr.treatment", "contr.treatment")), list("y ~ x + (o | g)", c("contr.sum", "contr.helmert")),
       list("y ~ o + f", c("contr.SAS", "contr.sum")), list("y ~ f", c("contr.poly", "contr.poly")))
)

barred <- function(text) if (grepl("|", text, fixed = TRUE)) text else paste(text, "+ (1 | g)")

main <- function() {
  data <- read_data()
  attach(data)  # lme4 evaluates a group such as factor(k) in the model frame, which does not hold k itself
  on.exit(detach("data"))
  texts <- vapply(unlist(list(groups, ties, left, fixed, calls, names_and_numbers, deficient)), barred, "")
  stopifnot(!anyDuplicated(texts))
  more <- c(lapply(unname(texts), try_case, data),
            lapply(names(respelled), function(text) try_case(text, data, respelled[[text]])))
  write_cases(more, data, "cases_more.json")
  coded <- c(lapply(columns_cases, function(case) with_contrasts(barred(case[[1]]), data, contrasts = case[[2]])),
             lapply(global_cases, function(case) with_contrasts(barred(case[[1]]), data, global = case[[2]])))
  write_cases(coded, data, "contrasts_cases.json")
  message(length(more), " and ", length(coded), " formulas")
}

main()
