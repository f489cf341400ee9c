# Writes what R prints for mixed models, and the numbers behind each print to 15 significant digits.
#
# Run in this directory:  Rscript make_prints.R
# Made with R 4.2.2, lme4 1.1-31, lmerTest 3.1-3 and nlme 3.1-162; the data are those packages' own.
#
# <case>.json  the numbers that a summary is filled with
# <case>.txt   the prints, each under a line "#### <which>"
# anova.*      tables of model comparison and of terms
# formats.json numbers, names and p-values with what R makes of them
#
# Trailing blanks are removed. Notes in lme4's own words (singular fit, dropped columns, correlation not
# shown) are removed too: lmmpy says these things in its own words.
suppressMessages({library(lme4); library(jsonlite)})
data(Machines, package = "nlme")

write_numbers <- function(x, file) {
  write(toJSON(x, digits = I(17), auto_unbox = TRUE, na = "string", null = "null", pretty = 2), file)
}

notes <- paste(c("convergence code", "^boundary \\(singular\\)", "^fit warnings", "rank deficient",
                 "different scales", "could have been required"), collapse = "|")

printed <- function(...) {
  lines <- sub(" +$", "", capture.output(print(...)))
  lines <- lines[!grepl(notes, lines)]
  while (length(lines) && lines[length(lines)] == "") lines <- lines[-length(lines)]
  lines
}

sections <- function(x, file) {
  con <- file(file, "w", encoding = "UTF-8")
  for (name in names(x)) writeLines(c(paste("####", name), x[[name]]), con)
  close(con)
}

varcorr_numbers <- function(vc) {
  rows <- list()
  for (g in names(vc)) {
    sd <- attr(vc[[g]], "stddev"); r <- attr(vc[[g]], "correlation")
    for (i in seq_along(sd)) rows <- c(rows, list(list(
      group = g, name = names(sd)[i], variance = unname(sd[i])^2, std_dev = unname(sd[i]),
      correlations = I(as.vector(r[i, seq_len(i - 1)])))))
  }
  sigma <- if (isTRUE(attr(vc, "useSc"))) attr(vc, "sc")
  frame <- as.data.frame(vc)
  list(rows = rows, residual = if (!is.null(sigma)) list(variance = sigma^2, std_dev = sigma),
       frame = lapply(as.list(frame), function(v) I(ifelse(is.na(v) & !is.nan(v), "", v))))
}

said <- function(x) if (!is.null(x)) deparse(x)

numbers <- function(m) {
  s <- summary(m); co <- coef(s); call <- getCall(m)
  criterion <- if (isREML(m)) list("REML criterion at convergence" = REMLcrit(m)) else
    list(AIC = AIC(m), BIC = BIC(m), logLik = c(logLik(m)), deviance = -2 * c(logLik(m)), df.resid = df.residual(m))
  column <- function(name) if (name %in% colnames(co)) I(unname(co[, name]))
  stat <- grep(" value$", colnames(co), value = TRUE); p <- grep("^Pr", colnames(co), value = TRUE)
  list(
    method_line = paste(sub(" +$", "", printed(m)[1])),
    family = if (is(m, "glmerMod")) sprintf("%s  ( %s )", family(m)$family, family(m)$link),
    formula = paste(deparse(formula(m), width.cutoff = 500), collapse = " "),
    data_name = said(call$data), weights = said(call$weights), offset = said(call$offset), subset = said(call$subset),
    criterion = criterion,
    scaled_residual_quantiles = unname(quantile(residuals(s, type = "pearson", scaled = TRUE))),
    varcorr = varcorr_numbers(VarCorr(m)),
    n_obs = nobs(m), n_groups = as.list(ngrps(m)), sigma = sigma(m),
    fixed = list(names = I(rownames(co)), estimate = column("Estimate"), std_error = column("Std. Error"),
                 statistic = I(unname(co[, stat])), statistic_name = stat, df = column("df"),
                 p_value = if (length(p)) I(unname(co[, p]))),
    correlation = unname(as.matrix(cov2cor(as.matrix(vcov(m))))))
}

case <- function(name, m, title = NULL) {
  x <- numbers(m)
  out <- printed(summary(m), correlation = TRUE)
  # a title that lme4 folds over two lines is joined again
  fold <- which(grepl("Approximation\\) \\[", out))
  short <- printed(m)
  if (length(fold)) {
    x$method_line <- paste(out[1], trimws(out[2]))
  }
  if (!is.null(title)) { x$method_line <- title; out <- c(title, out[-seq_len(grep("^Formula", out) - 1)]); short <- c(title, short[-seq_len(grep("^Formula", short) - 1)]) }
  write_numbers(x, paste0(name, ".json"))
  vc <- VarCorr(m)
  sections(list(summary = out, print = short, varcorr = printed(vc),
                "varcorr both" = printed(vc, comp = c("Variance", "Std.Dev."))), paste0(name, ".txt"))
}

sleepstudy$w <- seq(0.5, 2, length.out = nrow(sleepstudy))
case("sleepstudy_reml", lmer(Reaction ~ Days + (Days | Subject), sleepstudy))
case("sleepstudy_ml", lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE))
case("sleepstudy_uncorrelated", lmer(Reaction ~ Days + (Days || Subject), sleepstudy))
case("sleepstudy_weighted", lmer(Reaction ~ Days + (Days | Subject), sleepstudy, weights = w,
                                 offset = Days * 2, subset = Days > 1))
case("penicillin", lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin))
case("dyestuff2_singular", lmer(Yield ~ 1 + (1 | Batch), Dyestuff2))
case("machines", lmer(score ~ Machine + (Machine | Worker), Machines))
case("cake", lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake))
case("insteval_ml", lmer(y ~ service + (1 | s) + (1 | d) + (1 | dept), InstEval, REML = FALSE))
cake$micro <- cake$angle * 1e6
case("cake_large", lmer(micro ~ recipe + temperature + (1 | recipe:replicate), cake))
sleepstudy$ms <- sleepstudy$Days * 1e6
sleepstudy$short <- sleepstudy$Reaction * 1e-4
case("sleepstudy_small", suppressWarnings(lmer(short ~ ms + (1 | Subject), sleepstudy)))
case("cbpp_glmer", glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial))
case("sleepstudy_tests", lmerTest::lmer(Reaction ~ Days + (Days | Subject), sleepstudy),
     title = "Linear mixed model fit by REML. t-tests use Satterthwaite's method")

# Variance tables that no data set above gives: several correlations, a standard deviation of zero, folding.
block <- function(S, names) {
  dimnames(S) <- list(names, names)
  structure(S, stddev = sqrt(diag(S)), correlation = suppressWarnings(cov2cor(S)))
}
set.seed(1)
several <- structure(list(
  g = block(crossprod(matrix(rnorm(16), 4)), letters[1:4]),
  h = block(matrix(1, 2, 2), c("(Intercept)", "a_column_with_a_very_long_name")),
  k = block(matrix(c(4, 0, 0, 0), 2), c("u", "v"))), sc = 12345.678, useSc = TRUE, class = "VarCorr.merMod")
twelve <- structure(list(g = block(cov2cor(crossprod(matrix(rnorm(144), 12))), letters[1:12])),
                    sc = 12345.678, useSc = TRUE, class = "VarCorr.merMod")
write_numbers(list(several = varcorr_numbers(several), twelve = varcorr_numbers(twelve)), "varcorr.json")
sections(list(several = printed(several), twelve = printed(twelve),
              "several variance" = printed(several, comp = "Variance"),
              "several both" = printed(several, comp = c("Variance", "Std.Dev."), digits = 4)), "varcorr.txt")

# Tables of comparison.
m0 <- lmer(Reaction ~ 1 + (1 | Subject), sleepstudy, REML = FALSE)
m1 <- lmer(Reaction ~ Days + (1 | Subject), sleepstudy, REML = FALSE)
m2 <- lmer(Reaction ~ Days + (Days || Subject), sleepstudy, REML = FALSE)
m3 <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE)
few <- subset(InstEval, as.integer(s) <= 300)
f0 <- lmer(y ~ service + (1 | s) + (1 | d), few, REML = FALSE)
f1 <- lmer(y ~ service * dept + (1 | s) + (1 | d), few, REML = FALSE)
tested <- lmerTest::lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake)
days <- lmerTest::lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
tables <- list(two = anova(m2, m3), four = anova(m0, m1, m2, m3), strong = anova(m0, m1), many = anova(f0, f1),
               same = anova(m3, m3), terms = anova(tested), terms_lme4 = anova(m3), ranova = lmerTest::ranova(days),
               drop1 = drop1(m3, test = "Chisq"))
write_numbers(lapply(tables, function(a) list(
  heading = I(unlist(strsplit(paste0(attr(a, "heading"), "\n"), "\n"))), index = I(rownames(a)), columns = I(names(a)),
  values = lapply(unname(as.list(a)), function(v) I(as.numeric(v))))), "anova.json")
sections(lapply(tables, printed), "anova.txt")

# Single rules of formatting.
vectors <- list(c(612.1, 35.07, 654.94), c(0.00001234, 123), c(1e10, 1), c(1e5, 1), 100000, 123456, 0.0001, 0.00001,
                c(1, NA, NaN), c(Inf, -Inf, 2.5), 0, c(0, 0.1), c(1e-300, 1e300), c(-1.5, 22.25), c(99.99996, 1),
                c(0.30241, 3.73113, 0.7169), 1/3, 1e15, 123456789.123, c(-0.0001, 0.5), c(9.9995, 1), 1e-20)
formats <- list()
for (v in vectors) for (d in c(1, 3, 4, 7)) formats <- c(formats, list(list(
  values = I(v), digits = d, text = I(format(v, digits = d)))))
names6 <- list(c("(Intercept)", "Days", "Machine B"), colnames(model.matrix(~ recipe * temperature, cake)),
               c("abc", "abd", "abc"),
               c("service1:dept5", "service1:dept10", "x_y_z_long_name", "poly(x, 2)1", "poly(x, 2)2"),
               c("Days_of_very_long_named_sleep_deprivation", " leading blank", "AAAAAAAAAA", "UPPER lower UPPER",
                 "abcdee", "abcdeee abc", "a e i o u a e i o u", "12345678901234"),
               c("I(log(x)^2)", "scale(age)", "sexMale:treatmentPlacebo", "sexMale:treatmentActive", "treatmentPlacebo"))
short <- list()
for (n in names6) for (k in c(6, 11)) short <- c(short, list(list(
  names = I(n), length = k, text = I(unname(abbreviate(n, minlength = k))))))
rounded <- list()
for (v in list(c(1910.45, 0.15, 0.25, 0.35, 2.5, -2.5, 1234.5678), c(1.005, 2.675, -0.0004, 0.0005, 1e-9, 1e15)))
  for (d in 0:3) rounded <- c(rounded, list(list(values = I(v), decimals = d, result = I(round(v, d)))))
ps <- list(0.8004, c(1e-20, 0.5), c(0.03962, 1e-300), c(8.782e-11, 1e-17, 0.2), c(1e-4, 2e-5), 0, c(0, 0.05, 0.01, 0.001, 0.1),
           c(0.9999999, 1), c(0.2488, 1e-20, 0.4393), c(0.00106824, 0.00047431, 0.000182),
           c(0.5, 5e-4), c(0.5, 5e-5), c(0.5, 0.0012345, 0.00012345, 0.000012345), c(0.05, 0.0012345, 1e-4))
pvalues <- list()
for (p in ps) for (d in 3:4) pvalues <- c(pvalues, list(list(
  values = I(p), digits = d, text = I(format.pval(p, digits = d)),
  stars = I(as.vector(symnum(p, corr = FALSE, legend = FALSE, cutpoints = c(0, 0.001, 0.01, 0.05, 0.1, 1),
                   symbols = c("***", "**", "*", ".", " ")))))))
zapped <- list()
for (v in list(c(2.98, 0.062923), c(5.18, 0.023104), c(1910.45, 1e-9, 0.00034), c(1e6, 0.4), c(0, 0), c(3.2, 1e-5, NA)))
  for (d in c(4, 5)) zapped <- c(zapped, list(list(values = I(v), digits = d, result = I(zapsmall(v, d)))))
write_numbers(list(format = formats, abbreviate = short, p_values = pvalues, zapsmall = zapped, round = rounded),
              "formats.json")
