# Writes emmeans.json: what emmeans answers about a few models, by each method for the degrees of freedom.
#
#   Rscript tests/reference/make_emmeans.R
#
# Needs lme4, lmerTest, pbkrtest, emmeans, nlme and jsonlite. Made with R 4.2.2, lme4 1.1-31, lmerTest 3.1-3,
# pbkrtest 0.5-2, emmeans 1.8.4.
suppressMessages({library(lme4); library(emmeans); library(lmerTest); library(jsonlite)})

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))
data(Oats, Machines, package = "nlme")
emm_options(lmerTest.limit = 1e5, pbkrtest.limit = 1e5)

set.seed(20)
n <- 120
simulated <- data.frame(
  f = factor(sample(c("a", "b", "c"), n, TRUE, c(.5, .3, .2))), h = factor(sample(c("u", "v"), n, TRUE, c(.7, .3))),
  x = round(rnorm(n, 3, 2), 3), z = rep(0:1, n / 2), l = rep(c(TRUE, FALSE, FALSE), n / 3),
  w = round(runif(n, .5, 2), 2), off = round(rnorm(n), 2), g = factor(rep(1:12, 10)))
simulated$y <- round(as.numeric(simulated$f) + as.numeric(simulated$h) + .5 * simulated$x * (simulated$f == "b") +
                       rnorm(12)[simulated$g] + rnorm(n), 4)
holes <- subset(simulated, !(f == "c" & h == "v"))

frames <- list(sleepstudy = sleepstudy, Machines = as.data.frame(Machines), Oats = as.data.frame(Oats), cake = cake,
               simulated = simulated, holes = holes)

fit <- function(data, formula, ...) {
  assign("dat", frames[[data]], envir = globalenv())
  call <- as.call(c(list(quote(lmerTest::lmer), formula = as.formula(formula, env = globalenv()), data = quote(dat),
                         control = quote(lmerControl("bobyqa", optCtrl = list(rhoend = 1e-10), calc.derivs = FALSE))),
                    list(...)))
  suppressMessages(eval(call, globalenv()))
}

table_of <- function(x) {
  d <- as.data.frame(x)
  for (name in names(d)) if (is.factor(d[[name]])) d[[name]] <- as.character(d[[name]])
  lapply(as.list(d), I)
}

# A question is R's text; `m` is the model, `ddf` the method.
models <- list(
  list(name = "sleepstudy", data = "sleepstudy", formula = "Reaction ~ factor(Days) + (1 | Subject)", ask = list(
    means = "em('Days')", pairs = "pairs(em('Days'))", pairs_ci = "confint(pairs(em('Days')))",
    control = "contrast(em('Days'), 'trt.vs.ctrl')", control_ci = "confint(contrast(em('Days'), 'trt.vs.ctrl'))",
    poly = "contrast(em('Days'), 'poly')")),
  list(name = "machines", data = "Machines", formula = "score ~ Machine + (Machine | Worker)", ask = list(
    means = "em('Machine')", pairs = "pairs(em('Machine'))", eff = "contrast(em('Machine'), 'eff')",
    eff_ci = "confint(contrast(em('Machine'), 'eff'))", del_eff = "contrast(em('Machine'), 'del.eff')",
    means_sidak = "confint(em('Machine'), adjust = 'sidak', level = .9)")),
  list(name = "cake", data = "cake", formula = "angle ~ recipe * temperature + (1 | recipe:replicate)", ask = list(
    recipe = "em('recipe')", temperature = "em('temperature')", poly = "contrast(em('temperature'), 'poly')",
    within = "pairs(em(~ recipe | temperature))", within_holm = "pairs(em(~ recipe | temperature), adjust = 'holm')",
    cells = "em(~ recipe * temperature)", consec = "contrast(em('temperature'), 'consec', adjust = 'sidak')",
    joint = "test(pairs(em(~ temperature | recipe)), joint = TRUE)")),
  list(name = "oats", data = "Oats", formula = "yield ~ nitro * Variety + (1 | Block/Variety)", ask = list(
    means = "em('Variety')", at = "em(~ nitro | Variety, at = list(nitro = c(0, .6)))",
    pairs = "pairs(em(~ Variety | nitro, at = list(nitro = c(0, .6))))",
    numbers = "pairs(em(~ nitro, at = list(nitro = c(-.1, .25, .5))))")),
  list(name = "oats_factor", data = "Oats", formula = "yield ~ factor(nitro) * Variety + (1 | Block/Variety)",
    ask = list(means = "em('nitro')", pairs = "pairs(em('nitro'))", pairs_ci = "confint(pairs(em('nitro')))",
    scheffe = "pairs(em('nitro'), adjust = 'scheffe')", scheffe_ci = "confint(pairs(em('nitro')), adjust = 'scheffe')",
    fdr = "pairs(em('nitro'), adjust = 'fdr')", hochberg = "pairs(em('nitro'), adjust = 'hochberg')",
    holm = "pairs(em('nitro'), adjust = 'holm')", holm_ci = "confint(pairs(em('nitro')), adjust = 'holm')",
    bonferroni = "pairs(em('nitro'), adjust = 'bonferroni')", sidak = "pairs(em('nitro'), adjust = 'sidak')",
    none = "pairs(em('nitro'), adjust = 'none')", cells = "em(~ nitro | Variety)",
    null = "test(em('nitro'), null = 100)", mean_chg = "contrast(em('nitro'), 'mean_chg', adjust = 'none')",
    across = "pairs(em(~ nitro | Variety), by = NULL)", of_pairs = "pairs(pairs(em(~ Variety | nitro)), by = NULL)",
    joint = "test(pairs(em('nitro')), joint = TRUE)")),
  list(name = "simulated", data = "simulated", formula = "y ~ f * x + h + z + l + (1 | g)", weights = "w", ask = list(
    equal = "em('f')", proportional = "em('f', weights = 'proportional')", outer = "em('f', weights = 'outer')",
    cells = "em('f', weights = 'cells')", by = "em(~ f | h, weights = 'cells')",
    two = "em(~ f * h, weights = 'proportional')", at = "em('f', at = list(x = c(0, 5)))",
    at_cells = "em('h', at = list(x = c(0, 5, 7), f = c('a', 'b')), weights = 'cells')",
    z = "em('z')", l = "em('l')", overall = "em(~ 1)", x = "em('x')", z_pair = "pairs(em('z'))",
    l_pair = "pairs(em('l'))", custom = "contrast(em('f'), list(foo = c(1, 0, -1), bar = c(.5, .5, -1)))",
    control = "contrast(em('f'), 'trt.vs.ctrl', ref = 'b')", last = "contrast(em('f'), 'trt.vs.ctrlk')",
    reversed = "contrast(em('f'), 'revpairwise')", identity = "contrast(em('f'), 'identity')")),
  list(name = "unweighted", data = "simulated", formula = "y ~ f * x + h + z + l + (1 | g)", ask = list(
    equal = "em('f')", by = "em(~ f | h, weights = 'cells')", pairs = "pairs(em('f', weights = 'proportional'))",
    control = "confint(contrast(em('f'), 'trt.vs.ctrl', ref = 'c'))")),
  list(name = "transforms", data = "simulated", formula = "y ~ poly(x, 2) + log(x + 10) + factor(z) + f + (1 | g)",
    ask = list(means = "em('f')", z = "em('z')", x = "em('x', at = list(x = c(1, 2)))")),
  list(name = "offset", data = "simulated", formula = "y ~ f + x + offset(off) + (1 | g)",
    ask = list(means = "em('f')", pairs = "pairs(em('f'))")),
  list(name = "offset_argument", data = "simulated", formula = "y ~ f + x + (1 | g)", offset = "off",
    ask = list(means = "em('f')")),
  list(name = "holes", data = "holes", formula = "y ~ f * h + (1 | g)", ask = list(
    cells = "em(~ f * h)", f = "em('f')", h = "em('h')", f_cells = "em('f', weights = 'cells')",
    pairs = "pairs(em(~ f * h))", holm = "pairs(em(~ f * h), adjust = 'holm')",
    bonferroni = "pairs(em(~ f * h), adjust = 'bonferroni')", sidak = "pairs(em(~ f * h), adjust = 'sidak')",
    scheffe = "pairs(em(~ f * h), adjust = 'scheffe')", fdr = "pairs(em(~ f * h), adjust = 'fdr')")))

answers <- list()
for (case in models) {
  options <- Filter(Negate(is.null), lapply(case[c("weights", "offset")], function(t) if (!is.null(t)) as.name(t)))
  names(options) <- c("weights", "offset")[!vapply(case[c("weights", "offset")], is.null, NA)]
  m <- do.call(fit, c(list(case$data, case$formula), options), quote = TRUE)
  tables <- list()
  for (ddf in c("kenward-roger", "satterthwaite", "asymptotic")) {
    em <- function(...) suppressMessages(emmeans(m, ..., lmer.df = ddf))
    tables[[ddf]] <- lapply(case$ask, function(q) table_of(eval(str2lang(q))))
  }
  answers[[case$name]] <- c(case[c("data", "formula", "weights", "offset")], list(ask = case$ask, tables = tables))
  cat(case$name, "\n")
}
answers <- lapply(answers, function(a) Filter(Negate(is.null), a))
poly <- lapply(3:12, function(k) lapply(as.list(emmeans:::poly.emmc(seq_len(k))), I))
writeLines(toJSON(list(frames = lapply(list(simulated = simulated, holes = holes), function(d) lapply(as.list(d), function(v)
  I(if (is.factor(v)) as.character(v) else v))), poly = poly, models = answers),
  digits = I(12), auto_unbox = TRUE, na = "null", null = "null"), file.path(room, "emmeans.json"))
