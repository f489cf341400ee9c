# A model at its optimum, nearer than lmer's stopping rule brings it: bobyqa (rhoend 1e-10) from several starts, the
# lowest polished by Newton steps with derivatives by differences of fourth order, bounds held. The step of the
# differences is absolute: a step relative to a small theta would drown in rounding.

quietly <- function(x) suppressMessages(suppressWarnings(x))

free_of <- function(theta, lower) !(theta == 0 & lower == 0)

slope <- function(f, x, h = 1e-3) vapply(seq_along(x), function(i) {
  e <- replace(numeric(length(x)), i, h)
  (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h)
}, 0)

curvature <- function(f, x, h = 1e-3) {
  H <- vapply(seq_along(x), function(i) {
    e <- replace(numeric(length(x)), i, h)
    (slope(f, x + e) - slope(f, x - e)) / (2 * h)
  }, x)
  H <- matrix(H, length(x))
  (H + t(H)) / 2
}

polish <- function(devfun, theta, lower) {
  near <- lower == 0 & abs(theta) < 1e-4
  for (i in which(near)) {
    zeroed <- replace(theta, i, 0)
    if (devfun(zeroed) <= devfun(theta) + 1e-9) theta <- zeroed
  }
  free <- free_of(theta, lower)
  partial <- function(x) devfun(replace(theta, free, x))
  for (step in 1:4) {
    if (!any(free)) break
    g <- slope(partial, theta[free]); H <- curvature(partial, theta[free])
    e <- eigen(H, symmetric = TRUE)
    use <- e$values > 1e-7 * max(e$values)
    V <- e$vectors[, use, drop = FALSE]
    candidate <- replace(theta, free, theta[free] - drop(V %*% (crossprod(V, g) / e$values[use])))
    if (any(candidate < lower) || devfun(candidate) > devfun(theta) + 1e-9) break
    theta <- candidate
  }
  theta
}

tight <- function(devfun, starts, lower) {
  found <- lapply(starts, function(start)
    quietly(optimizeLmer(devfun, optimizer = "bobyqa", start = start, restart_edge = TRUE,
                         control = list(rhoend = 1e-10, maxfun = 20000))))
  values <- vapply(found, function(o) o$fval, 0)
  theta <- polish(devfun, found[[which.min(values)]]$par, lower)
  free <- free_of(theta, lower)
  g <- if (any(free)) slope(function(x) devfun(replace(theta, free, x)), theta[free]) else 0
  list(par = theta, fval = devfun(theta), conv = 0, message = "", gradient = max(abs(g)), values = values)
}

starts_of <- function(theta, lower, default) {
  set.seed(1)
  shaken <- function(i) ifelse(lower == 0, pmax(theta, 0.3) * exp(rnorm(length(theta), 0, 0.7)),
                               theta + rnorm(length(theta), 0, 0.3))
  c(list(theta, default), lapply(seq_len(if (length(theta) > 10) 1 else 3), shaken))
}

# The model of a call of lmer, and what is known of its optimum.
tightened <- function(call, default_theta) {
  parts <- call
  parts[[1]] <- quote(lFormula)
  parsed <- quietly(eval(parts, globalenv()))
  devfun <- do.call(mkLmerDevfun, parsed)
  lower <- parsed$reTrms$lower
  optimum <- tight(devfun, starts_of(parsed$reTrms$theta, lower, default_theta), lower)
  devfun(optimum$par)
  model <- quietly(mkMerMod(environment(devfun), optimum, parsed$reTrms, fr = parsed$fr, mc = call))
  list(model = model, optimum = optimum)
}
