# Writes more.json, and the simulated data to data/Nested.csv: residuals with structure in nlme's gls and lme, for the
# models that the given reference numbers (given.json) leave out. `test_nlme.py` reads them.
#
#   Rscript tests/reference/nlme/make.R
#
# Needs nlme and jsonlite. Made with R 4.2.2, nlme 3.1-162. All models are fitted with tightened stopping rules.
suppressMessages({library(nlme); library(jsonlite)})
script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))

# ---- data: batches of units with up to six occasions, some missed; v are standard deviations' covariates

set.seed(62)
N <- expand.grid(t = 1:6, unit = 1:4, batch = 1:10)
N$unit <- sprintf("b%02du%d", N$batch, N$unit)
N$batch <- sprintf("b%02d", N$batch)
N$f <- c("p", "q")[1 + (match(N$unit, unique(N$unit)) %% 2)]
N$h <- c("k", "l", "m")[1 + (N$t + match(N$unit, unique(N$unit))) %% 3]
N$x <- round(runif(nrow(N), -1, 1), 3)
N$v <- round(exp(runif(nrow(N), -1, 1)), 3)
N$w <- round(runif(nrow(N), .5, 2), 3)
ar <- unlist(lapply(split(seq_len(nrow(N)), N$unit), function(i) as.numeric(arima.sim(list(ar = .6), length(i)))))
sd <- c(p = 1, q = 1.7)[N$f] * c(k = 1, l = .8, m = 1.3)[N$h] * N$v^.6
N$y <- round(12 + 2 * N$x + .5 * N$t + rnorm(10, 0, 1)[factor(N$batch)] + rnorm(40, 0, .8)[factor(N$unit)] + .6 * ar * sd, 4)
N$time <- round(N$t + runif(nrow(N), -.3, .3), 2)
N <- N[sort(sample(nrow(N), 200)), ]
rownames(N) <- NULL
N$k <- ave(N$t, N$unit, FUN = seq_along)
write.csv(N, file.path(room, "data", "Nested.csv"), row.names = FALSE)
N <- read.csv(file.path(room, "data", "Nested.csv"), stringsAsFactors = TRUE)

# A known covariance of the first 60 rows.
S <- N[1:60, ]
K <- .7^abs(outer(1:60, 1:60, "-")) * outer(1 + (1:60 %% 3) / 4, 1 + (1:60 %% 3) / 4)

# ---- models

tight <- list(
  gls = glsControl(maxIter = 2000, msMaxIter = 2000, tolerance = 1e-11, msTol = 1e-13, returnObject = TRUE),
  lme = lmeControl(maxIter = 2000, msMaxIter = 2000, niterEM = 50, tolerance = 1e-11, msTol = 1e-13,
                   returnObject = TRUE))
G <- function(formula, ...) function(method) gls(formula, N, ..., method = method, control = tight$gls)
L <- function(formula, random, ...) function(method)
  lme(formula, N, random, ..., method = method, control = tight$lme)
plain <- y ~ x + t
batch <- ~ 1 | batch
nested <- ~ 1 | batch/unit

models <- list(
  gls_varpower = G(plain, weights = varPower(form = ~v)),
  lme_varpower = L(plain, ~ 1 | unit, weights = varPower(form = ~v)),
  gls_varpower_mean = G(plain, weights = varPower()),
  lme_varpower_mean = L(plain, ~ 1 | unit, weights = varPower()),
  gls_varexp = G(plain, weights = varExp(form = ~v)),
  lme_varexp = L(plain, ~ 1 | unit, weights = varExp(form = ~v)),
  gls_varexp_mean = G(plain, weights = varExp()),
  lme_varexp_mean = L(plain, ~ 1 | unit, weights = varExp()),
  gls_compsymm = G(plain, correlation = corCompSymm(form = ~ 1 | unit)),
  lme_compsymm = L(plain, batch, correlation = corCompSymm(form = ~ 1 | batch/unit)),
  gls_symm = G(plain, correlation = corSymm(form = ~ t | unit)),
  lme_symm = L(plain, batch, correlation = corSymm(form = ~ t | batch/unit)),
  gls_car1_varident = G(plain, correlation = corCAR1(form = ~ time | unit), weights = varIdent(form = ~ 1 | f)),
  lme_car1_varident = L(plain, batch, correlation = corCAR1(form = ~ time | batch/unit),
                        weights = varIdent(form = ~ 1 | f)),
  gls_ar1_gaps = G(plain, correlation = corAR1(form = ~ t | unit)),
  lme_ar1_gaps = L(plain, batch, correlation = corAR1(form = ~ t | batch/unit)),
  gls_arma11_gaps = G(plain, correlation = corARMA(form = ~ t | unit, p = 1, q = 1)),
  lme_arma11 = L(plain, batch, correlation = corARMA(form = ~ k | batch/unit, p = 1, q = 1)),
  gls_two_varidents = G(plain, weights = varComb(varIdent(form = ~ 1 | f), varIdent(form = ~ 1 | h))),
  gls_varident_cells = G(plain, weights = varIdent(form = ~ 1 | f * h)),
  lme_ar1_varident_varpower = L(plain, ~ 1 | unit, correlation = corAR1(form = ~ t | unit),
                                weights = varComb(varIdent(form = ~ 1 | f), varPower(form = ~v))),
  lme_nested_ar1 = L(plain, nested, correlation = corAR1(form = ~ t | batch/unit)),
  gls_varfixed = G(plain, weights = varFixed(~w)),
  lme_varfixed_ar1 = L(plain, ~ 1 | unit, correlation = corAR1(form = ~ t | unit), weights = varFixed(~w)))

# Of a varIdent with its reference level.
all_coefs <- function(part) as.list(coef(part, unconstrained = FALSE, allCoef = TRUE))
variances <- function(part) {
  parts <- if (is.null(part)) list() else if (inherits(part, "varComb")) part else list(part)
  unname(lapply(Filter(function(p) !inherits(p, "varFixed"), parts), all_coefs))
}
structures <- function(m) {
  part <- m$modelStruct$corStruct
  list(correlation = if (!is.null(part)) I(as.numeric(coef(part, unconstrained = FALSE))),
       variance = variances(m$modelStruct$varStruct))
}
answer <- function(m) c(list(
  beta = as.list(if (inherits(m, "lme")) fixef(m) else coef(m)), vcov = unname(as.matrix(vcov(m))), sigma = m$sigma,
  logLik = as.numeric(logLik(m))), structures(m),
  if (inherits(m, "lme")) list(random = lapply(m$modelStruct$reStruct, function(p) m$sigma^2 * as.numeric(pdMatrix(p))),
                               ranef = lapply(if (is.data.frame(ranef(m))) list(ranef(m)) else ranef(m),
                                              function(r) as.list(setNames(r[[1]], rownames(r))))))

known <- function(method) {
  X <- model.matrix(plain, S)
  U <- chol(K)
  turn <- function(a) backsolve(U, a, transpose = TRUE)
  fit <- lm.fit(turn(X), turn(S$y))
  n <- nrow(X); p <- ncol(X); dof <- if (method == "REML") n - p else n
  s2 <- sum(fit$residuals^2) / dof
  information <- crossprod(turn(X))
  ll <- -.5 * (dof * (log(2 * pi * s2) + 1) + 2 * sum(log(diag(U))) +
               if (method == "REML") determinant(information)$modulus else 0)
  list(beta = as.list(setNames(fit$coefficients, colnames(X))), variance = list(), vcov = unname(s2 * solve(information)), sigma = sqrt(s2),
       logLik = as.numeric(ll))
}

results <- list()
for (name in names(models)) for (method in c("REML", "ML")) {
  case <- paste(name, method, sep = "_")
  results[[case]] <- answer(suppressWarnings(models[[name]](method)))
  cat(case, results[[case]]$logLik, "\n")
}
for (method in c("REML", "ML")) results[[paste0("gls_known_", method)]] <- known(method)
write(toJSON(results, digits = NA, auto_unbox = TRUE, null = "null"), file.path(room, "more.json"))
