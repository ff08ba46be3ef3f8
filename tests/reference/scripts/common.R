## common.R -- machinery of make_public.R
## Reference results for mixed models, R 4.2 (Debian 12 packages).
if (Sys.getenv("OPENBLAS_NUM_THREADS") != "1" && !interactive()) {
  a <- commandArgs(FALSE); f <- sub("^--file=", "", grep("^--file=", a, value = TRUE)[1])
  st <- system2("Rscript", c(shQuote(f), shQuote(commandArgs(TRUE))),
                env = c("OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1"))
  quit(status = st)
}
suppressPackageStartupMessages({
  library(lme4); library(glmmTMB); library(nlme, exclude = "lmList"); library(jsonlite)
  library(numDeriv); library(MASS)
})
options(warn = 1, digits = 15, contrasts = c("contr.treatment", "contr.poly"))
ROOT <- Sys.getenv("REF_ROOT", "")
CAP <- as.numeric(Sys.getenv("REF_CAP", "300"))        # seconds a model
`%||%` <- function(a, b) if (is.null(a)) b else a
pv <- function(p) as.character(packageVersion(p))
VERS <- function(p) paste0(p, " ", pv(p), "; R ", R.version$major, ".", R.version$minor)

## ------------------------------------------------------------------ JSON
num <- function(x) if (is.null(x)) NULL else I(unname(as.numeric(x)))
mat <- function(M) { if (is.null(M)) return(NULL); M <- as.matrix(M); dimnames(M) <- NULL
  lapply(seq_len(nrow(M)), function(i) num(M[i, ])) }
chr <- function(x) I(unname(as.character(x)))
rows <- function(d) lapply(seq_len(nrow(d)), function(i) as.list(d[i, , drop = FALSE]))
to_json <- function(x, file) {
  s <- toJSON(x, digits = NA, auto_unbox = TRUE, na = "null", null = "null", pretty = FALSE)
  s <- prettify_top(s)
  writeLines(s, file, useBytes = TRUE)
}
## one top-level key a line: small but diff-able
prettify_top <- function(s) {
  p <- fromJSON(s, simplifyVector = FALSE)
  ks <- names(p)
  parts <- vapply(ks, function(k) {
    v <- toJSON(p[[k]], digits = NA, auto_unbox = TRUE, na = "null", null = "null")
    paste0(toJSON(k, auto_unbox = TRUE), ": ", v) }, "")
  paste0("{\n", paste(parts, collapse = ",\n"), "\n}")
}
prettify_top <- function(s) s   # (kept raw: re-parsing would unbox length-1 arrays)

## ------------------------------------------------------------------ data
DATA <- new.env()                     # name -> list(file, ordered, doc)
snake <- function(n) { n <- gsub("([a-z0-9])([A-Z])", "\\1_\\2", n); n <- gsub("[^A-Za-z0-9]+", "_", n); gsub("_+$", "", tolower(n)) }
write_data <- function(set, name, d, doc) {
  d <- as.data.frame(d)
  for (j in names(d)) if (is.factor(d[[j]])) d[[j]] <- as.character(d[[j]])
  stopifnot(all(grepl("^[a-z][a-z0-9_]*$", names(d))), !anyDuplicated(names(d)))
  for (j in names(d)) if (is.character(d[[j]])) { d[[j]][d[[j]] %in% "None"] <- "none"   # pandas would read "None" as missing
    if (any(d[[j]] %in% c("NA", "N/A", "NULL", "NaN", "nan", "null", "n/a", "", "<NA>"))) stop("NA-like string in ", name, "$", j) 
    if (!anyNA(suppressWarnings(as.numeric(stats::na.omit(d[[j]]))))) stop("numeric-looking factor ", name, "$", j) }
  gz <- nrow(d) > 20000
  f <- file.path(ROOT, set, "data", paste0(name, if (gz) ".csv.gz" else ".csv"))
  num_ok <- vapply(d, function(x) is.numeric(x) || is.logical(x), NA)
  for (j in names(d)[num_ok]) { x <- d[[j]]; if (is.logical(x)) x <- as.integer(x)
    s <- ifelse(is.na(x), "", format15(x)); d[[j]] <- s }
  f1 <- f; f <- paste0(f1, ".", Sys.getpid(), ".tmp"); con <- if (gz) gzfile(f, "wb", compression = 9) else file(f, "wb")
  hdr <- paste(names(d), collapse = ",")
  qt <- function(x) ifelse(grepl("[,\"\n]", x), paste0("\"", gsub("\"", "\"\"", x), "\""), x)
  for (j in names(d)) { x <- d[[j]]; x[is.na(x)] <- ""; d[[j]] <- qt(x) }
  writeLines(c(hdr, do.call(paste, c(unname(d), sep = ","))), con); close(con)
  if (file.exists(f1) && tools::md5sum(f1) == tools::md5sum(f)) unlink(f) else file.rename(f, f1); f <- f1      # atomic, and only when changed
  DATA[[name]] <- list(file = paste0("data/", basename(f)), doc = doc, nrow = nrow(d), cols = names(d))
  invisible(f)
}
format15 <- function(x) {             # shortest of 15..17 digits that round-trips
  if (anyNA(x)) { o <- rep("", length(x)); o[!is.na(x)] <- format15(x[!is.na(x)]); return(o) }
  s <- formatC(x, digits = 15, format = "g", width = 1); bad <- as.numeric(s) != x
  if (any(bad, na.rm = TRUE)) { b <- which(bad); s[b] <- formatC(x[b], digits = 16, format = "g", width = 1)
    b <- b[as.numeric(s[b]) != x[b]]; s[b] <- formatC(x[b], digits = 17, format = "g", width = 1) }
  s
}
read_data <- function(set, name, categorical = list()) {
  f <- file.path(ROOT, set, DATA[[name]]$file)
  d <- read.csv(f, stringsAsFactors = FALSE, check.names = FALSE, na.strings = "")
  for (j in names(d)) if (is.character(d[[j]])) {
    lv <- categorical[[j]] %||% sort(unique(d[[j]]), method = "radix")
    if (!all(stats::na.omit(d[[j]]) %in% lv)) stop("levels of ", j)
    d[[j]] <- factor(d[[j]], levels = lv)
  }
  for (j in names(categorical)) if (!is.factor(d[[j]])) d[[j]] <- factor(d[[j]], levels = categorical[[j]])
  d
}
write_data_readme <- function(set, title) {
  nm <- sort(ls(DATA)); out <- c(paste("#", title), "",
    "Plain CSV, first row = header, empty = missing. Strings are factors; unless a model's `categorical`",
    "says otherwise, level order is plain (C-locale) sorting. `.csv.gz` = gzip.", "")
  for (n in nm) { x <- DATA[[n]]
    out <- c(out, paste0("## ", basename(x$file)), "", paste0("Rows: ", x$nrow, ". Columns: ", paste0("`", x$cols, "`", collapse = ", "), "."), "", x$doc, "") }
  writeLines(out, file.path(ROOT, set, "data", "README.md"))
}

## ------------------------------------------------------------------ optimiser
## One optimiser for lme4: NLopt-BOBYQA and minqa-BOBYQA from the same start, restarts from the
## better, then Newton steps with Richardson derivatives. AGREE holds what was seen.
AGREE <- new.env(); LIGHT <- FALSE
polish_opt <- function(fn, par, lower = -Inf, upper = Inf, control = list()) {
  n <- length(par); lower <- rep_len(lower, n); upper <- rep_len(upper, n)
  pp <- environment(fn)$pp; nth <- length(pp$theta); sc <- rep(1, n)
  if (n > nth) sc[(nth + 1):n] <- pmax(sqrt(diag(as.matrix(pp$unsc()))), 1e-12)
  p0 <- par + 0; nev <- 0L                # + 0: lme4 hands over its own memory
  rho <- environment(fn)                       # PIRLS that cannot reach 1e-14 is asked again with 1e-12
  f <- function(z) { nev <<- nev + 1L; v <- tryCatch(fn(p0 + sc * z), error = function(e) { t0 <- rho$tolPwrss; if (is.null(t0)) return(NA_real_); on.exit(rho$tolPwrss <- t0); rho$tolPwrss <- 1e-12; tryCatch(fn(p0 + sc * z), error = function(e) NA_real_) })
    if (!is.finite(v)) 1e10 else as.numeric(v) }
  lo <- (lower - p0) / sc; up <- (upper - p0) / sc
  runA <- function(z, big = TRUE) {
    r <- nloptr::nloptr(z, f, lb = lo, ub = up, opts = list(algorithm = "NLOPT_LN_BOBYQA",
      xtol_rel = 0, xtol_abs = rep(if (LIGHT) 1e-7 else 1e-8, n), ftol_rel = 0, ftol_abs = if (LIGHT) 1e-8 else 1e-12, maxeval = if (LIGHT) 600 else 6000))
    list(z = r$solution, f = r$objective) }
  runB <- function(z, rb = 0.3, re = if (LIGHT) 1e-6 else 1e-7) {
    w <- (up - lo) / 2; rb <- min(rb, w[is.finite(w)])
    r <- minqa::bobyqa(z, f, lower = lo, upper = up, control = list(rhobeg = rb, rhoend = re, maxfun = if (LIGHT) 800 else 10000))
    list(z = r$par, f = r$fval) }
  z0 <- rep(0, n)
  a <- tryCatch(runA(z0), error = function(e) list(z = z0, f = Inf))
  b <- tryCatch(suppressWarnings(runB(if (LIGHT) a$z else z0, if (LIGHT) 0.02 else 0.3)), error = function(e) list(z = z0, f = Inf))
  bst <- if (a$f <= b$f) a else b
  if (!LIGHT && abs(a$f - b$f) > 1e-9 * max(1, abs(bst$f) / 100)) for (k in 1:3) {     # restarts from the better one
    old <- bst$f
    for (r in list(function() runB(bst$z, 0.02), function() runA(bst$z), function() runB(bst$z, 0.3))) {
      cnd <- tryCatch(suppressWarnings(r()), error = function(e) NULL); if (!is.null(cnd) && cnd$f < bst$f) bst <- cnd }
    if (old - bst$f < 1e-9) break
  }
  par <- p0 + sc * bst$z; fb <- bst$f; bst <- NULL
  F <- function(p) f((p - p0) / sc)
  ## boundary
  isb <- is.finite(lower) & seq_len(n) <= nth
  tol0 <- 1e-8 * max(1, abs(fb) * 1e-3)
  fixed <- rep(FALSE, n)
  for (i in which(isb)) if (par[i] - lower[i] < 1e-3) { q <- par; q[i] <- lower[i]; fq <- F(q)
    if (fq <= fb + tol0) { par <- q; fixed[i] <- TRUE; fb <- min(fb, fq) } }
  H <- NULL; fr <- which(!fixed); nsteps <- 0; gmax <- NA; ses <- NULL; lst <- Inf
  if (!LIGHT && length(fr)) {
    nd <- newton_derivs(F, par, fr, fb, lower)
    for (k in 1:4) {
      if (is.null(nd)) break
      ev <- eigen(nd$H, symmetric = TRUE); ok <- ev$values > 1e-6 * max(ev$values)
      if (any(ev$values < -1e-4 * max(abs(ev$values)))) break
      st <- -(ev$vectors[, ok, drop = FALSE] %*% (crossprod(ev$vectors[, ok, drop = FALSE], nd$g) / ev$values[ok]))
      dec <- -sum(nd$g * st) / 2
      q <- par; q[fr] <- q[fr] + nd$s * as.numeric(st); gmax <- max(abs(nd$g)); H <- nd$H; ses <- nd$s
      if (any(q < lower)) break
      fq <- F(q)
      if (fq > fb + 1e-9 * max(1, abs(fb) / 100)) break
      par <- q; fb <- min(fb, fq); nsteps <- k; lst <- max(abs(st)); last_g <- nd$g
      if (abs(dec) < 1e-13 * max(1, abs(fb)) || k == 4) break
      nd <- newton_derivs(F, par, fr, fb, lower, s = nd$s, grad_only = TRUE, H = nd$H)
    }
    small <- nsteps == 1 && lst < 1e-5                       # derivatives at the final point; the Hessian anew unless the step was tiny
    nd <- if (is.null(H)) NULL else newton_derivs(F, par, fr, fb, lower, s = ses, grad_only = small, H = H)
    if (!is.null(nd)) { H <- nd$H; ses <- nd$s; gmax <- max(abs(nd$g)) }
  }
  fv <- F(par)
  assign("last", list(fA = a$f, fB = b$f, f = fv, best = min(a$f, b$f, fv), diffAB = abs(a$f - b$f),
    gain = min(a$f, b$f) - fv, H = H, ses = ses, free = fr, nth = nth, gmax = gmax, newton = nsteps, nev = nev, fixed = which(fixed)), envir = AGREE)
  list(par = par, fval = fv, value = fv, convergence = 0L, conv = 0L, feval = nev, message = "polished")
}
## gradient and Hessian of a deviance in units of s (about one SE), central + Richardson
newton_derivs <- function(F, p, fr, f0, lower, s = NULL, grad_only = FALSE, H = NULL, nsd = 2) {
  n <- length(fr)
  if (is.null(s)) {
    s <- vapply(fr, function(i) { h <- 1e-3 * max(abs(p[i]), 0.1)
      if (is.finite(lower[i])) h <- min(h, 0.45 * (p[i] - lower[i]))
      for (it in 1:40) { q <- p; q[i] <- p[i] + h; fp <- F(q); q[i] <- p[i] - h; fm <- if (q[i] < lower[i]) fp else F(q)
        d <- fp + fm - 2 * f0
        if (!is.finite(d) || d > 1) { h <- h / 4; next }
        if (d < 1e-4 && (!is.finite(lower[i]) || p[i] - 4 * h > lower[i])) { h <- h * 4; next }
        break }
      if (!is.finite(d) || d <= 0) return(NA_real_)
      h * sqrt(2 / d) }, 0.0)          # d ~ 2 h^2 /se^2 for a deviance
    if (anyNA(s)) return(NULL)
    lim <- ifelse(is.finite(lower[fr]), 0.9 * (p[fr] - lower[fr]) / 0.1, Inf); s <- pmin(s, lim)
  }
  P <- function(x) { q <- p; q[fr] <- p[fr] + s * x; F(q) }
  D <- function(h) { g <- numeric(n); d2 <- numeric(n)
    for (i in 1:n) { x <- numeric(n); x[i] <- h; fp <- P(x); x[i] <- -h; fm <- P(x)
      g[i] <- (fp - fm) / (2 * h); d2[i] <- (fp + fm - 2 * f0) / h^2 }
    list(g = g, d2 = d2) }
  h1 <- 0.1; h2 <- 0.05
  f0 <- P(numeric(n))
  A <- D(h1); B <- D(h2)
  g <- (4 * B$g - A$g) / 3
  if (grad_only) return(list(g = g, H = H, s = s))
  Hm <- matrix(0, n, n); diag(Hm) <- (4 * B$d2 - A$d2) / 3
  if (n > 1) for (i in 1:(n - 1)) for (j in (i + 1):n) {
    m <- function(h) { x <- numeric(n); x[i] <- h; x[j] <- h; pp <- P(x); x[j] <- -h; pm <- P(x)
      x[i] <- -h; mm <- P(x); x[j] <- h; mp <- P(x); (pp - pm - mp + mm) / (4 * h^2) }
    Hm[i, j] <- Hm[j, i] <- (4 * m(h2) - m(h1)) / 3 }
  list(g = g, H = Hm, s = s)
}
ctl_lmer <- lmerControl(optimizer = "polish_opt", restart_edge = FALSE, boundary.tol = 0, calc.derivs = FALSE, check.scaleX = "ignore")
ctl_glmer <- glmerControl(optimizer = c("bobyqa", "polish_opt"), boundary.tol = 0, tolPwrss = if (nzchar(Sys.getenv("REF_TOLPWRSS"))) as.numeric(Sys.getenv("REF_TOLPWRSS")) else 1e-14, check.scaleX = "ignore")
ctl_glmer0 <- glmerControl(optimizer = "polish_opt", boundary.tol = 0, tolPwrss = 1e-12, check.scaleX = "ignore")
glmer_full_vcov <- function() {          # 2 * H^-1 over (theta, beta), free ones
  L <- AGREE$last; if (is.null(L$H)) return(NULL)
  V <- tryCatch(2 * solve(L$H), error = function(e) NULL); if (is.null(V)) return(NULL)
  V <- V * outer(L$ses, L$ses); if (any(!is.finite(V)) || any(diag(V) <= 0)) return(NULL)
  k <- which(L$free > L$nth); list(beta = V[k, k, drop = FALSE], all = V, free = L$free)
}
## optimiser for glmmTMB
TMBA <- new.env()
polish_tmb <- function(par, fn, gr, control = list(), ...) {
  env <- environment(fn); ic <- env$inner.control
  if (is.null(ic)) ic <- list(); ic$tol <- 1e-9; env$inner.control <- ic
  f <- function(p) { v <- tryCatch(as.numeric(fn(p)), error = function(e) NaN); v }
  g <- function(p) as.numeric(gr(p))
  a <- nlminb(par, f, g, control = list(iter.max = 5000, eval.max = 8000, rel.tol = 1e-14, x.tol = 1e-12))
  b <- tryCatch(optim(par, function(p) { v <- f(p); if (!is.finite(v)) 1e10 else v }, g, method = "BFGS",
    control = list(maxit = 5000, reltol = 1e-15)), error = function(e) list(par = par, value = Inf))
  if (!is.finite(b$value) || abs(b$value - a$objective) > 1e-5) for (jit in c(0.05, 0.01)) {   # BFGS stuck from the far start: again from a disturbed optimum
    b2 <- tryCatch(optim(a$par + jit * (-1)^seq_along(a$par), function(p) { v <- f(p); if (!is.finite(v)) 1e10 else v }, g, method = "BFGS", control = list(maxit = 5000, reltol = 1e-15)), error = function(e) NULL)
    if (!is.null(b2) && (!is.finite(b$value) || b2$value < b$value)) b <- b2
    if (abs(b$value - a$objective) < 1e-5) break }
  p <- if (a$objective <= b$value) a$par else b$par; fb <- min(a$objective, b$value)
  a2 <- nlminb(p, f, g, control = list(iter.max = 5000, eval.max = 8000, rel.tol = 1e-15, x.tol = 1e-14))
  if (a2$objective <= fb) { p <- a2$par; fb <- a2$objective }
  steps <- 0; H <- NULL
  for (k in 1:4) {
    gg <- g(p); if (any(!is.finite(gg))) break
    if (max(abs(gg)) < 1e-9 && k > 1) break
    H <- tryCatch(jacobian(g, p, method.args = list(r = 2, d = 1e-3, eps = 1e-3)), error = function(e) NULL); if (is.null(H)) break
    H <- (H + t(H)) / 2; ev <- eigen(H, symmetric = TRUE)
    if (min(ev$values) < 1e-9 * max(abs(ev$values)) || any(!is.finite(ev$values))) break
    q <- p - solve(H, gg); fq <- f(q)
    if (!is.finite(fq) || fq > fb + 1e-9 * max(1, abs(fb) / 100)) break
    steps <- k; mv <- max(abs(q - p)); p <- q; fb <- min(fb, fq); if (mv < 1e-10) break
  }
  fv <- f(p); gg <- g(p)
  H <- tryCatch({ h <- jacobian(g, p, method.args = list(r = 2, d = 1e-3, eps = 1e-3)); (h + t(h)) / 2 }, error = function(e) NULL)
  fv <- f(p); env$last.par.best <- env$last.par; env$value.best <- fv
  assign("last", list(fA = a$objective, fB = b$value, f = fv, diffAB = abs(a$objective - b$value), gmax = max(abs(gg)), steps = steps, H = H, par = p), envir = TMBA)
  list(par = setNames(p, names(par)), objective = fv, convergence = 0L, message = "polished", iterations = steps, evaluations = c(0, 0))
}
ctl_tmb <- glmmTMBControl(optimizer = polish_tmb, optCtrl = list())
cross_opt <- function(par, fn, gr, control = list(), ...) {     # for crosschecks: nlminb, then Newton steps with simple differences of the gradient
  f <- function(p) as.numeric(fn(p)); g <- function(p) as.numeric(gr(p)); env <- environment(fn)
  a <- nlminb(par, f, g, control = list(iter.max = 2000, eval.max = 3000, rel.tol = 1e-12)); p <- a$par; fb <- a$objective; n <- length(p)
  for (k in 1:2) { gg <- g(p); if (max(abs(gg)) < 1e-7) break; H <- vapply(seq_len(n), function(i) { e <- replace(numeric(n), i, 1e-4); (g(p + e) - g(p - e)) / 2e-4 }, numeric(n)); st <- tryCatch(solve((H + t(H)) / 2, gg), error = function(e) NULL)
    if (is.null(st) || any(!is.finite(st))) break; fq <- f(p - st); if (!is.finite(fq) || fq > fb + 1e-9) break; p <- p - st; fb <- min(fb, fq) }
  H <- if (LIGHT) { h <- vapply(seq_len(n), function(i) { e <- replace(numeric(n), i, 1e-3); (g(p + e) - g(p - e)) / 2e-3 }, numeric(n)); (h + t(h)) / 2 }
  gm <- if (LIGHT) max(abs(g(p))) else NA; fv <- f(p); env$last.par.best <- env$last.par; env$value.best <- fv; if (LIGHT) assign("last", list(fA = a$objective, fB = NA, f = fv, diffAB = a$objective - fv, gmax = gm, steps = k, H = H, par = p), envir = TMBA)
  list(par = setNames(p, names(par)), objective = fv, convergence = 0L, message = "ok", iterations = 1, evaluations = c(0, 0)) }
ctl_tmbx <- glmmTMBControl(optimizer = cross_opt, optCtrl = list())

## ------------------------------------------------------------------ names
py_names <- function(tt, mf, X) {
  asg <- attr(X, "assign"); fac <- attr(tt, "factors"); lab <- attr(tt, "term.labels")
  ctr <- attr(X, "contrasts"); out <- character(ncol(X)); rn <- colnames(X)
  pre <- function(v) v
  for (k in unique(asg)) { cols <- which(asg == k)
    if (k == 0) { out[cols] <- "Intercept"; next }
    vs <- rownames(fac)[fac[, k] > 0]
    lst <- lapply(vs, function(v) { x <- mf[[v]]
      if (is.factor(x) || is.character(x)) { x <- as.factor(x)
        isC <- inherits(x, "factor") && !is.null(attr(x, "contrasts"))
        if (fac[v, k] == 2) { r <- levels(x); p <- paste0(v, "[", r, "]") }
        else { cm <- stats::contrasts(x); r <- colnames(cm) %||% seq_len(ncol(cm))
          typ <- attr(x, "contrasts"); tn <- if (is.character(typ)) typ else NULL
          grabs <- regmatches(v, regexpr("contr\\.[a-z]+", v)); tn <- if (length(grabs)) grabs else "contr.treatment"
          p <- if (tn == "contr.treatment") paste0(v, "[T.", r, "]") else if (tn == "contr.sum") paste0(v, "[S.", levels(x)[seq_along(r)], "]") else paste0(v, "[", r, "]") }
        list(r = paste0(v, r), p = p)
      } else if (is.matrix(x)) list(r = paste0(v, colnames(x)), p = paste0(v, "[", colnames(x), "]"))
      else list(r = v, p = if (grepl("^I\\(", v)) gsub("\\^", " ** ", v) else v) })
    g <- expand.grid(lapply(lst, function(l) seq_along(l$r)))
    R <- apply(g, 1, function(ix) paste(mapply(function(l, i) l$r[i], lst, ix), collapse = ":"))
    P <- apply(g, 1, function(ix) paste(mapply(function(l, i) l$p[i], lst, ix), collapse = ":"))
    out[cols] <- P[match(rn[cols], R)]
    if (anyNA(out[cols]) && length(vs) == 1) { x <- as.factor(mf[[vs]]); out[cols] <- paste0(vs, "[", levels(x), "]")[match(rn[cols], paste0(vs, levels(x)))] }   # no intercept: full dummies
  }
  out
}
base_rec <- function(s) list(id = s$id, kind = s$kind, data = DATA[[s$data]]$file, categorical = lapply(s$categorical %||% setNames(list(), character()), chr),
  formula = s$formula, family = s$family %||% "gaussian", link = s$link %||% "identity", method = s$method %||% "ml", n_agq = s$nagq,
  weights = s$weights, offset = s$offset)
head10 <- function(x, k = 10) num(utils::head(as.numeric(x), k))
ranef_json <- function(df, k = 10) {
  df <- as.data.frame(df); out <- list()
  for (g in unique(as.character(df$grpvar))) { e <- df[df$grpvar == g, ]; tm <- unique(as.character(e$term)); lv <- unique(as.character(e$grp))
    lv10 <- utils::head(levels(droplevels(factor(e$grp, levels = unique(e$grp)))), k)
    V <- sapply(tm, function(t) e$condval[e$term == t][match(lv10, e$grp[e$term == t])])
    S <- sapply(tm, function(t) e$condsd[e$term == t][match(lv10, e$grp[e$term == t])])
    V <- matrix(V, nrow = length(lv10)); S <- matrix(S, nrow = length(lv10))
    out[[g]] <- list(names = chr(tm), n_levels = length(lv), levels = chr(lv10), values = mat(V), cond_sd = mat(S)) }
  out
}
## ------------------------------------------------------------------ lme4
get_family <- function(s) { ln <- s$link
  switch(s$family, binomial = binomial(link = ln), poisson = poisson(link = ln), Gamma = Gamma(link = ln),
    inverse.gaussian = inverse.gaussian(link = ln), nbinom2 = glmmTMB::nbinom2(link = ln), nbinom1 = glmmTMB::nbinom1(link = ln),
    beta = glmmTMB::beta_family(link = ln), betabinomial = glmmTMB::betabinomial(link = ln), tweedie = glmmTMB::tweedie(link = ln),
    truncated_poisson = glmmTMB::truncated_poisson(link = ln), truncated_nbinom2 = glmmTMB::truncated_nbinom2(link = ln),
    truncated_nbinom1 = glmmTMB::truncated_nbinom1(link = ln), genpois = glmmTMB::genpois(link = ln), compois = glmmTMB::compois(link = ln),
    ziGamma = glmmTMB::ziGamma(link = ln), gaussian = gaussian(link = ln)) }
call_lme4 <- function(s, control = NULL, lt = FALSE, REML = NULL) {
  f <- as.formula(s$formula, env = globalenv()); gl <- (s$family %||% "gaussian") != "gaussian" || (s$link %||% "identity") != "identity"
  a <- list(formula = f, data = as.name("dat"))
  if (!is.null(s$weights)) a$weights <- as.name(s$weights)
  if (!is.null(s$offset)) a$offset <- as.name(s$offset)
  if (!is.null(control)) a$control <- as.name(control)
  if (gl) { a$family <- get_family(s); a$nAGQ <- s$nagq %||% 1L; do.call(lme4::glmer, a) }
  else { a$REML <- REML %||% ((s$method %||% "reml") == "reml"); do.call(if (lt) lmerTest::lmer else lme4::lmer, a) }
}
rec_mer <- function(m, s, A = AGREE$last) {
  r <- base_rec(s); gl <- isGLMM(m); r$software <- "lme4"; r$version <- VERS("lme4")
  ll <- logLik(m); r$n_obs <- nobs(m); r$n_groups <- as.list(summary(m)$ngrps)
  r$loglik <- as.numeric(ll); r$n_parameters <- attr(ll, "df"); r$aic <- AIC(m); r$bic <- BIC(m)
  r$criterion <- if (gl) -2 * as.numeric(ll) else if (isREML(m)) as.numeric(REMLcrit(m)) else -2 * as.numeric(ll)
  X <- getME(m, "X"); mf <- model.frame(m, fixed.only = TRUE); tt <- delete.response(terms(m, fixed.only = TRUE))
  attr(mf, "terms") <- tt; Xm <- model.matrix(tt, mf, contrasts.arg = attr(X, "contrasts")); kp <- colnames(Xm) %in% colnames(X)
  py <- tryCatch(py_names(tt, mf, Xm)[kp], error = function(e) NULL)
  r$fixef_names <- chr(names(fixef(m))); if (!is.null(py)) r$fixef_names_py <- chr(py)
  r$fixef <- num(fixef(m)); 
  if (gl) { V <- glmer_full_vcov(); Vl <- tryCatch(as.matrix(vcov(m)), error = function(e) NULL); Vr <- as.matrix(suppressWarnings(vcov(m, use.hessian = FALSE)))
    if (is.null(V)) { r$se <- num(sqrt(diag(Vl))); r$vcov <- mat(Vl); r$vcov_note <- "lme4's own finite-difference Hessian" }
    else { r$se <- num(sqrt(diag(V$beta))); r$vcov <- mat(V$beta); r$vcov_note <- "from a Richardson (central, 4th order) Hessian of lme4's deviance over (theta, beta); se_lme4 = as lme4 prints it; se_rx = lme4 vcov(use.hessian=FALSE)" }
    if (!is.null(Vl)) r$se_lme4 <- num(sqrt(diag(Vl))); r$se_rx <- num(sqrt(diag(Vr))) }
  else { V <- as.matrix(vcov(m)); r$se <- num(sqrt(diag(V))); r$vcov <- mat(V) }
  r$sigma <- sigma(m); r$theta <- num(getME(m, "theta"))
  vc <- VarCorr(m); g <- names(m@cnms)
  r$varcorr <- lapply(seq_along(vc), function(i) list(group = g[i], names = chr(m@cnms[[i]]), sd = num(attr(vc[[i]], "stddev")), corr = mat(attr(vc[[i]], "correlation"))))
  r$ranef <- ranef_json(as.data.frame(ranef(m, condVar = TRUE)))
  r$fitted_head <- head10(fitted(m)); off <- getME(m, "offset"); r$eta_fixed_head <- head10(as.numeric(X %*% fixef(m)) + off)
  sing <- isSingular(m, tol = 1e-4); r$converged <- TRUE; r$singular <- sing
  r$note <- sprintf("two optimizers from one start (NLopt-BOBYQA, minqa-BOBYQA): criteria differ by %.1e (relative %.1e in loglik); final criterion lower than the better of them by %.1e after %d Newton steps, max |gradient| %.1e per SE",
    A$diffAB, A$diffAB / max(1, abs(r$criterion)), A$gain, as.integer(A$newton), A$gmax %||% NA)
  if (!is.null(s$note)) r$note <- paste(r$note, s$note, sep = "; ")
  r
}
## ------------------------------------------------------------------ glmmTMB
call_tmb <- function(s, control = NULL, se = TRUE) {
  a <- list(formula = as.formula(s$tmb_formula %||% s$formula, env = globalenv()), data = as.name("dat"), REML = (s$method %||% "ml") == "reml", se = se)
  if ((s$family %||% "gaussian") != "gaussian" || (s$link %||% "identity") != "identity") a$family <- get_family(s)
  if (!is.null(s$zi)) a$ziformula <- as.formula(s$zi, env = globalenv())
  if (!is.null(s$disp)) a$dispformula <- as.formula(s$disp, env = globalenv())
  if (!is.null(s$weights)) a$weights <- as.name(s$weights)
  if (!is.null(s$offset)) a$offset <- as.name(s$offset)
  if (!is.null(control)) a$control <- as.name(control)
  do.call(glmmTMB::glmmTMB, a)
}
tmb_struct <- function(m, comp = "cond") {
  rs <- m$modelInfo$reStruc[[if (comp == "cond") "condReStruc" else "ziReStruc"]]; if (!length(rs)) return(NULL)
  pl <- m$obj$env$parList(m$fit$par, m$fit$parfull); th <- pl[[if (comp == "cond") "theta" else "thetazi"]]
  k <- 0; vc <- VarCorr(m)[[comp]]; cn <- m$modelInfo$reTrms[[comp]]$cnms
  lapply(seq_along(rs), function(i) { nt <- rs[[i]]$blockNumTheta; t <- th[k + seq_len(nt)]; k <<- k + nt
    st <- names(rs[[i]]$blockCode); V <- vc[[i]]; sd <- attr(V, "stddev"); C <- attr(V, "correlation")
    big <- length(sd) > 15; o <- list(group = names(cn)[i], structure = st, names = chr(if (big) utils::head(cn[[i]], 15) else cn[[i]]), dim = length(sd), tmb_theta = num(t))
    if (st %in% c("ar1", "ou", "exp", "gau", "mat")) { o$sd <- num(exp(t[1]))
      if (st == "ar1") o$rho <- t[2] / sqrt(1 + t[2]^2)
      if (st == "ou") o$decay <- exp(t[2])
      if (st %in% c("exp", "gau")) o$range <- exp(t[2])
      if (st == "mat") { o$range <- exp(t[2]); o$smoothness <- exp(t[3]) }
      kk <- seq_len(min(length(sd), 6)); if (!is.null(C) && length(C)) o$corr_head <- mat(as.matrix(C)[kk, kk, drop = FALSE]) }
    else { o$sd <- num(if (big) sd[1:15] else sd); if (!is.null(C)) o$corr <- mat(if (big) as.matrix(C)[1:6, 1:6] else C) }
    o })
}
rec_tmb <- function(m, s, A = TMBA$last) {
  r <- base_rec(s); r$software <- "glmmTMB"; r$version <- paste0(VERS("glmmTMB"), "; TMB ", pv("TMB"))
  r$ziformula <- s$zi; r$dispformula <- s$disp; if (!is.null(s$tmb_formula)) r$formula_glmmTMB <- s$tmb_formula
  ll <- logLik(m); r$n_obs <- nobs(m); r$n_groups <- as.list(summary(m)$ngrps$cond)
  r$loglik <- as.numeric(ll); r$n_parameters <- attr(ll, "df"); r$aic <- AIC(m); r$bic <- BIC(m); r$criterion <- -2 * as.numeric(ll)
  fe <- fixef(m); X <- getME(m, "X"); mf <- m$frame; tt <- delete.response(m$modelInfo$terms$cond$fixed)
  py <- tryCatch({ Xm <- model.matrix(tt, mf); py_names(tt, mf, Xm)[colnames(Xm) %in% colnames(X)] }, error = function(e) NULL)
  r$fixef_names <- chr(names(fe$cond)); if (!is.null(py) && length(py) == length(fe$cond)) r$fixef_names_py <- chr(py); r$fixef <- num(fe$cond)
  V0 <- vcov(m); pn <- names(m$obj$par)
  V <- NULL; if (!is.null(A$H) && r$method != "reml") { V <- tryCatch(solve(A$H), error = function(e) NULL); if (!is.null(V) && (any(!is.finite(V)) || any(diag(V) <= 0))) V <- NULL }
  pick <- function(nm, alt) { if (is.null(V)) as.matrix(alt) else { k <- which(pn == nm); M <- V[k, k, drop = FALSE]; if (length(k) == nrow(as.matrix(alt))) M else as.matrix(alt) } }
  Vc <- pick("beta", V0$cond); r$se <- num(sqrt(diag(Vc))); r$vcov <- mat(Vc); r$se_glmmTMB <- num(sqrt(diag(V0$cond)))
  sub <- function(comp, nm) { b <- fe[[comp]]; if (!length(b)) return(NULL); Vz <- tryCatch(pick(nm, V0[[comp]]), error = function(e) NULL)
    list(names = chr(names(b)), coef = num(b), se = if (!is.null(Vz) && length(Vz)) num(sqrt(diag(Vz))), vcov = if (!is.null(Vz) && length(Vz)) mat(Vz)) }
  if (!is.null(s$zi)) r$zi <- sub("zi", "betazi")
  if (!is.null(s$disp) && gsub(" ", "", s$disp) != "~0") r$disp <- sub("disp", "betad")
  r$sigma <- sigma(m); r$theta <- NULL
  r$tmb_par <- list(names = chr(pn), estimate = num(m$fit$par), se = if (!is.null(V)) num(sqrt(diag(V))) else num(sqrt(diag(m$sdr$cov.fixed))))
  if ("thetaf" %in% pn && r$family == "tweedie") r$tweedie_power <- unname(plogis(m$fit$par["thetaf"]) + 1)
  r$varcorr <- tmb_struct(m, "cond"); if (length(m$modelInfo$reStruc$ziReStruc)) r$varcorr_zi <- tmb_struct(m, "zi")
  rd <- tryCatch(as.data.frame(ranef(m, condVar = TRUE)), error = function(e) NULL)
  if (!is.null(rd) && nrow(rd)) { if (nrow(rd) < 20000) { if (length(unique(rd$term)) <= 15) r$ranef <- ranef_json(rd[rd$component == "cond", ])
      else r$ranef_head <- { h <- utils::head(rd, 30); list(group = chr(h$grpvar), term = chr(h$term), level = chr(h$grp), value = num(h$condval), cond_sd = num(h$condsd)) } }
    if (any(rd$component == "zi")) r$ranef_zi <- ranef_json(rd[rd$component == "zi", ])
    r$ranef_note <- "glmmTMB's cond_sd include the uncertainty of the estimated parameters; lme4's do not" }
  r$fitted_head <- head10(predict(m, type = "response"))
  if (!is.null(s$zi)) { r$conditional_mean_head <- head10(predict(m, type = "conditional")); r$zprob_head <- head10(predict(m, type = "zprob")) }
  off <- m$obj$env$data$offset; r$eta_fixed_head <- head10(as.numeric(X %*% fe$cond) + if (is.null(off)) 0 else off)
  vcs <- unlist(lapply(r$varcorr, `[[`, "sd")); r$converged <- isTRUE(m$sdr$pdHess); r$singular <- length(vcs) > 0 && any(vcs < 1e-4)
  r$note <- sprintf("two optimizers (nlminb, BFGS): negative loglik differ by %.1e; then %d Newton steps, max |gradient| %.1e; vcov from a Richardson Jacobian of the exact gradient%s",
    A$diffAB, as.integer(A$steps), A$gmax, if (is.null(V)) " NOT available, glmmTMB's own is given" else "")
  if (!is.null(s$note)) r$note <- paste(r$note, s$note, sep = "; ")
  r
}
cross_tmb <- function(s, r) {            # same model in glmmTMB: loglik and estimates
  m <- tryCatch(suppressWarnings(suppressMessages(call_tmb(s, "ctl_tmbx", se = FALSE))), error = function(e) NULL); if (is.null(m)) return(NULL)
  ll <- -m$fit$objective; b <- tryCatch(fixef(m)$cond, error = function(e) NULL)
  list(software = paste("glmmTMB", pv("glmmTMB")), loglik = ll, loglik_diff = ll - r$loglik, max_abs_fixef_diff_in_se = if (!is.null(b) && length(b) == length(r$fixef)) max(abs(b - r$fixef) / r$se) else NULL,
    fixef = num(b), varcorr = lapply(tryCatch(tmb_struct(m), error = function(e) list()), function(x) list(group = x$group, names = x$names, sd = x$sd, corr = x$corr)), sigma = tryCatch(sigma(m), error = function(e) NULL))
}
## ------------------------------------------------------------------ independent check: adaptive Gauss-Hermite
## one grouping factor, scalar random intercept; observed-information scaling; n = 1 is the exact Laplace.
gh_nodes <- function(n) { if (n == 1) return(list(x = 0, w = sqrt(pi))); b <- sqrt(seq_len(n - 1) / 2); J <- matrix(0, n, n); J[cbind(1:(n - 1), 2:n)] <- b; J[cbind(2:n, 1:(n - 1))] <- b
  e <- eigen(J, symmetric = TRUE); list(x = e$values, w = sqrt(pi) * e$vectors[1, ]^2) }
fam_tools <- function(family, link) {
  L <- switch(link,
    logit = list(mu = plogis, d1 = function(e) dlogis(e), d2 = function(e) { p <- plogis(e); p * (1 - p) * (1 - 2 * p) }),
    probit = list(mu = pnorm, d1 = dnorm, d2 = function(e) -e * dnorm(e)),
    cloglog = list(mu = function(e) -expm1(-exp(e)), d1 = function(e) exp(e - exp(e)), d2 = function(e) exp(e - exp(e)) * (1 - exp(e))),
    log = list(mu = exp, d1 = exp, d2 = exp), identity = list(mu = identity, d1 = function(e) e * 0 + 1, d2 = function(e) e * 0),
    inverse = list(mu = function(e) 1 / e, d1 = function(e) -1 / e^2, d2 = function(e) 2 / e^3),
    `1/mu^2` = list(mu = function(e) e^-0.5, d1 = function(e) -0.5 * e^-1.5, d2 = function(e) 0.75 * e^-2.5))
  V <- switch(family, binomial = list(v = function(m, t) m * (1 - m), d = function(m, t) 1 - 2 * m, disp = FALSE,
      ld = function(y, m, n, t) dbinom(round(y * n), n, m, log = TRUE)),
    poisson = list(v = function(m, t) m, d = function(m, t) 1, disp = FALSE, ld = function(y, m, n, t) dpois(y, m, log = TRUE)),
    nbinom2 = list(v = function(m, t) m + m^2 / t, d = function(m, t) 1 + 2 * m / t, disp = TRUE, ld = function(y, m, n, t) dnbinom(y, size = t, mu = m, log = TRUE)),
    Gamma = list(v = function(m, t) m^2, d = function(m, t) 2 * m, disp = TRUE, ld = function(y, m, n, t) dgamma(y, shape = 1 / t, scale = m * t, log = TRUE)),
    inverse.gaussian = list(v = function(m, t) m^3, d = function(m, t) 3 * m^2, disp = TRUE, ld = function(y, m, n, t) -0.5 * log(2 * pi * t * y^3) - (y - m)^2 / (2 * t * m^2 * y)))
  list(L = L, V = V, phi = function(t) if (family %in% c("Gamma", "inverse.gaussian")) t else 1)
}
agq_loglik <- function(y, X, g, n, off, family, link, beta, sd, disp = 1, nodes = 41) {
  T <- fam_tools(family, link); G <- nlevels(g); gi <- as.integer(g); eta0 <- as.numeric(X %*% beta) + off; ph <- T$phi(disp)
  wn <- if (family == "binomial") n else rep(1, length(y))
  d12 <- function(u) { e <- eta0 + sd * u[gi]; m <- T$L$mu(e); m1 <- T$L$d1(e); m2 <- T$L$d2(e); v <- T$V$v(m, disp); vd <- T$V$d(m, disp)
    s1 <- wn * (y - m) / (ph * v) * m1; s2 <- wn / ph * (-m1^2 / v + (y - m) * (m2 / v - m1^2 * vd / v^2))
    list(g = sd * rowsum(s1, gi)[, 1] - u, h = sd^2 * rowsum(s2, gi)[, 1] - 1) }
  jl <- function(u) { e <- eta0 + sd * u[gi]; rowsum(T$V$ld(y, T$L$mu(e), n, disp), gi)[, 1] + dnorm(u, log = TRUE) }
  u <- numeric(G); cur <- jl(u)
  for (it in 1:200) { d <- d12(u); h <- ifelse(d$h < 0, d$h, -1); st <- -d$g / h; k <- rep(1, G)
    for (hv in 1:30) { nw <- suppressWarnings(jl(u + k * st)); bad <- !is.finite(nw) | nw < cur - 1e-12 * abs(cur); if (!any(bad)) break; k[bad] <- k[bad] / 2 }
    k[bad] <- 0; u <- u + k * st; cur <- suppressWarnings(jl(u)); if (max(abs(k * st)) < 1e-13) break }
  d <- d12(u); s <- 1 / sqrt(-d$h); gh <- gh_nodes(nodes)
  M <- sapply(seq_along(gh$x), function(i) { z <- u + sqrt(2) * s * gh$x[i]; v <- suppressWarnings(jl(z)); v[!is.finite(v)] <- -Inf; v + log(gh$w[i]) + gh$x[i]^2 })
  M <- matrix(M, nrow = G); mx <- apply(M, 1, max); sum(mx + log(rowSums(exp(M - mx))) + log(s) + 0.5 * log(2))
}
own_agq <- function(s, m, nodes = c(1, 41)) {   # m: fitted merMod or glmmTMB used for data and start
  mer <- inherits(m, "merMod"); X <- getME(m, "X"); mf <- model.frame(m); y <- model.response(mf)
  if (mer) { g <- getME(m, "flist")[[1]]; b0 <- fixef(m); sd0 <- attr(VarCorr(m)[[1]], "stddev")[1]; off <- getME(m, "offset") }
  else { g <- droplevels(as.factor(mf[[names(m$modelInfo$reTrms$cond$cnms)[1]]])); b0 <- fixef(m)$cond; sd0 <- attr(VarCorr(m)$cond[[1]], "stddev")[1]; off <- model.offset(mf); if (is.null(off)) off <- rep(0, nrow(X)) }
  g <- droplevels(as.factor(g)); nn <- rep(1, nrow(X))
  if (s$family == "binomial") { if (is.matrix(y)) { nn <- rowSums(y); y <- y[, 1] / nn } else if (!is.null(s$weights)) { nn <- mf[["(weights)"]] ; y <- as.numeric(y) } else if (is.factor(y)) y <- as.numeric(y != levels(y)[1]) }
  y <- as.numeric(y); hasd <- s$family %in% c("Gamma", "inverse.gaussian", "nbinom2")
  d0 <- if (!hasd) NULL else if (mer) (if (s$family == "nbinom2") s$theta0 else sigma(m)^2) else if (s$family == "nbinom2") sigma(m) else sigma(m)^2
  p <- length(b0); sc <- c(pmax(sqrt(diag(as.matrix(if (mer) vcov(m) else vcov(m)$cond))), 1e-10), 1, if (hasd) 1)
  st <- c(b0, log(max(sd0, 0.05)), if (hasd) log(d0))
  res <- list()
  for (k in nodes) {
    f <- function(z) { q <- st + sc * z; v <- -tryCatch(agq_loglik(y, X, g, nn, off, s$family, s$link, q[1:p], exp(q[p + 1]), if (hasd) exp(q[p + 2]) else 1, k), error = function(e) -1e10); if (!is.finite(v)) 1e10 else v }
    o <- optim(rep(0, length(st)), f, method = "BFGS", control = list(reltol = 1e-14, maxit = 500))
    z <- o$par
    H <- NULL; ma <- list(r = 2, d = 2e-2, eps = 2e-2, zero.tol = 1)
    for (i in 1:4) { gr <- grad(f, z, method.args = ma); if (is.null(H)) H <- hessian(f, z, method.args = ma); stp <- tryCatch(solve(H, gr), error = function(e) NULL)
      if (is.null(stp) || any(!is.finite(stp))) break; zn <- z - stp; if (f(zn) > f(z) + 1e-9) break; z <- zn; if (max(abs(stp)) < 1e-7) break }
    q <- st + sc * z; nm <- if (k == 1) "laplace_observed_hessian" else paste0("agq", k)
    at_m <- if (mer && !hasd) agq_loglik(y, X, g, nn, off, s$family, s$link, b0, sd0, 1, k) else NULL
    Vv <- tryCatch(solve(H) * outer(sc, sc), error = function(e) NULL)
    res[[nm]] <- list(software = "independent R code (common.R: agq_loglik), observed information", nodes = k, loglik = -f(z), fixef = num(q[1:p]), se = if (!is.null(Vv)) num(sqrt(diag(Vv))[1:p]), sd = exp(q[p + 1]), dispersion = if (hasd) exp(q[p + 2]), loglik_at_reported_parameters = at_m)
  }
  res
}
## ------------------------------------------------------------------ nlme, clmm
## dense (RE)ML deviance of a fitted lme / gls as a function of its unconstrained parameters: polish + independent check
nlme_dense <- function(m) {
  ms <- m$modelStruct; gls <- inherits(m, "gls"); reml <- m$method == "REML"; d <- dat
  if (!gls) { gn <- names(m$groups); ord <- do.call(order, lapply(gn, function(g) d[[if (g %in% names(d)) g else g]])) }
  else { cg <- if (!is.null(ms$corStruct)) tryCatch(getGroupsFormula(ms$corStruct), error = function(e) NULL) else NULL; ord <- if (!is.null(cg)) order(as.factor(d[[all.vars(cg)]])) else seq_len(nrow(d)) }
  d <- d[ord, , drop = FALSE]; f <- formula(m); mf <- model.frame(f, d); y <- model.response(mf); X <- model.matrix(f, mf); n <- nrow(X); p <- ncol(X)
  Zs <- list(); if (!gls) { rs <- ms$reStruct; for (g in names(rs)) { k <- match(g, gn); G <- interaction(lapply(gn[1:k], function(v) d[[v]]), drop = TRUE, lex.order = TRUE, sep = "/"); Zs[[g]] <- list(Z = model.matrix(formula(rs[[g]]), d), G = G) } }
  build <- function(par) { coef(ms) <- par
    C <- if (is.null(ms$corStruct)) diag(n) else { cm <- corMatrix(ms$corStruct); if (is.list(cm)) as.matrix(Matrix::bdiag(cm)) else cm }
    if (!is.null(ms$varStruct)) { w <- varWeights(ms$varStruct); C <- C / outer(w, w) }
    ZD <- list(); V <- C
    if (!gls) for (g in names(ms$reStruct)) { D <- as.matrix(ms$reStruct[[g]]); z <- Zs[[g]]; V <- V + (z$Z %*% D %*% t(z$Z)) * outer(as.integer(z$G), as.integer(z$G), "=="); ZD[[g]] <- D }
    U <- chol(V); Xs <- backsolve(U, X, transpose = TRUE); ys <- backsolve(U, y, transpose = TRUE); q <- qr(Xs); b <- qr.coef(q, ys); rss <- sum((ys - Xs %*% b)^2); df <- if (reml) n - p else n; s2 <- rss / df
    ll <- -df / 2 * (log(2 * pi) + log(s2) + 1) - sum(log(diag(U))) - if (reml) sum(log(abs(diag(qr.R(q))))) else 0
    list(ll = ll, beta = b, sigma = sqrt(s2), vb = s2 * chol2inv(qr.R(q)), U = U, D = ZD, ms = ms) }
  list(build = build, par = coef(ms), X = X, y = y, Zs = Zs, ord = ord, gls = gls)
}
polish_nlme <- function(m) {
  nd <- nlme_dense(m); fn <- function(p) { v <- tryCatch(-2 * nd$build(p)$ll, error = function(e) NA); if (!is.finite(v)) 1e10 else v }
  p <- nd$par; f0 <- fn(p); at0 <- f0
  o <- optim(p, fn, method = "BFGS", control = list(reltol = 1e-15, maxit = 500)); if (o$value < f0) { p <- o$par; f0 <- o$value }
  for (k in 1:6) { gg <- grad(fn, p, method.args = list(d = 1e-3, eps = 1e-3, zero.tol = 1e-2)); H <- hessian(fn, p, method.args = list(d = 1e-2, eps = 1e-2, zero.tol = 1e-1)); st <- tryCatch(solve(H, gg), error = function(e) NULL); if (is.null(st)) break
    q <- p - st; fq <- fn(q); if (fq > f0 + 1e-9) break; p <- q; f0 <- min(f0, fq); if (max(abs(st)) < 1e-9) break }
  B <- nd$build(p); n <- length(nd$y); r <- backsolve(B$U, backsolve(B$U, nd$y - nd$X %*% B$beta, transpose = TRUE)); fit <- as.numeric(nd$X %*% B$beta); re <- list()
  for (g in names(nd$Zs)) { z <- nd$Zs[[g]]; b <- t(sapply(levels(z$G), function(l) { k <- z$G == l; as.numeric(B$D[[g]] %*% crossprod(z$Z[k, , drop = FALSE], r[k])) })); if (ncol(z$Z) == 1) b <- matrix(b, ncol = 1, dimnames = list(levels(z$G), NULL)); colnames(b) <- colnames(z$Z); re[[g]] <- b; fit <- fit + rowSums(z$Z * b[as.integer(z$G), , drop = FALSE]) }
  fitted <- numeric(n); fitted[nd$ord] <- fit
  list(B = B, dense_at_nlme = -at0 / 2, ll = -f0 / 2, re = re, fitted = fitted, gmax = max(abs(gg)))
}
rec_nlme <- function(m, s, note) {
  r <- base_rec(s); r$software <- paste0("nlme::", class(m)[1]); r$version <- VERS("nlme"); r$nlme_call <- s$call_text
  ll <- logLik(m); r$n_obs <- length(fitted(m)); r$loglik <- as.numeric(ll); r$n_parameters <- attr(ll, "df"); r$aic <- AIC(m); r$bic <- BIC(m); r$criterion <- -2 * as.numeric(ll)
  gls <- inherits(m, "gls"); b <- if (gls) coef(m) else fixef(m); V <- if (gls) m$varBeta else vcov(m)
  r$fixef_names <- chr(names(b)); py <- tryCatch({ mf <- model.frame(formula(m), dat); tt <- delete.response(terms(mf)); Xm <- model.matrix(tt, mf); py_names(tt, mf, Xm) }, error = function(e) NULL); if (!is.null(py)) r$fixef_names_py <- chr(py)
  r$fixef <- num(b); r$se <- num(sqrt(diag(V))); r$vcov <- mat(V); r$sigma <- m$sigma
  r$vcov_note <- "nlme scales vcov of an ML fit as it stands; lme(): summary() t-table multiplies SEs of ML fits by sqrt(N/(N-p)); vcov() here is unscaled"
  if (!gls) { rs <- m$modelStruct$reStruct
    r$varcorr <- rev(lapply(names(rs), function(g) { M <- as.matrix(rs[[g]]) * m$sigma^2; sd <- sqrt(diag(M)); list(group = g, names = chr(rownames(M)), sd = num(sd), corr = mat(M / outer(sd, sd))) }))
    re <- ranef(m); if (is.data.frame(re)) re <- setNames(list(re), names(rs)[1])
    r$ranef <- lapply(re, function(x) list(names = chr(colnames(x)), levels = chr(utils::head(rownames(x), 10)), values = mat(utils::head(x, 10)))) }
  if (!is.null(m$modelStruct$corStruct)) { cs <- m$modelStruct$corStruct; r$corStruct <- list(class = class(cs)[1], coef = as.list(coef(cs, unconstrained = FALSE))) }
  if (!is.null(m$modelStruct$varStruct)) { vs <- m$modelStruct$varStruct; r$varStruct <- list(class = class(vs)[1], coef = as.list(coef(vs, unconstrained = FALSE))) }
  r$fitted_head <- head10(fitted(m)); r$converged <- TRUE; r$singular <- FALSE
  pl <- try_null(polish_nlme(m), "polish_nlme")
  if (!is.null(pl)) { d0 <- pl$dense_at_nlme - r$loglik; note <- paste0(note, sprintf("; a dense R evaluation of the likelihood at nlme's estimates differs from nlme's logLik by %.1e", d0))
    if (abs(d0) < 1e-6 && pl$ll >= r$loglik - 1e-9) { B <- pl$B; note <- paste0(note, sprintf("; estimates below are polished on that dense likelihood (loglik higher by %.1e, max |gradient| %.1e)", pl$ll - r$loglik, pl$gmax))
      r$loglik <- pl$ll; r$aic <- -2 * pl$ll + 2 * r$n_parameters; r$bic <- r$bic + 2 * (-r$criterion / 2 - pl$ll); r$criterion <- -2 * pl$ll; r$fixef <- num(B$beta); r$se <- num(sqrt(diag(B$vb))); r$vcov <- mat(B$vb); r$sigma <- B$sigma
      if (!gls) { r$varcorr <- rev(lapply(names(B$D), function(g) { M <- B$D[[g]] * B$sigma^2; sd <- sqrt(diag(M)); list(group = g, names = chr(colnames(pl$re[[g]])), sd = num(sd), corr = mat(M / outer(sd, sd))) }))
        r$ranef <- lapply(pl$re, function(x) list(names = chr(colnames(x)), n_levels = nrow(x), levels = chr(utils::head(rownames(x), 10)), values = mat(utils::head(x, 10)))) }
      if (!is.null(B$ms$corStruct)) r$corStruct$coef <- as.list(coef(B$ms$corStruct, unconstrained = FALSE)); if (!is.null(B$ms$varStruct)) r$varStruct$coef <- as.list(coef(B$ms$varStruct, unconstrained = FALSE))
      r$fitted_head <- head10(pl$fitted) } }
  r$note <- note; if (!is.null(s$note)) r$note <- paste(note, s$note, sep = "; "); r
}
fit_nlme <- function(s) {                # s$fun(control) -> fit ; best of nlminb / optim
  isg <- isTRUE(s$gls)
  cts <- if (isg) list(glsControl(opt = "nlminb", tolerance = 1e-11, msTol = 1e-13, maxIter = 500, msMaxIter = 500), glsControl(opt = "optim", tolerance = 1e-11, msMaxIter = 1000, maxIter = 500))
    else list(lmeControl(opt = "nlminb", tolerance = 1e-11, msTol = 1e-13, maxIter = 500, msMaxIter = 500, niterEM = 50, msMaxEval = 2000), lmeControl(opt = "optim", tolerance = 1e-11, maxIter = 500, msMaxIter = 2000, niterEM = 100))
  t0 <- system.time(d0 <- tryCatch(s$fun(if (isg) glsControl() else lmeControl()), error = function(e) e))[3]
  fs <- lapply(cts, function(ct) tryCatch(s$fun(ct), error = function(e) { message("nlme: ", conditionMessage(e)); NULL }))
  ok <- !vapply(fs, is.null, NA); if (!any(ok)) { if (inherits(d0, "error")) stop(d0); fs <- list(d0, NULL); ok <- c(TRUE, FALSE) }
  ll <- vapply(fs[ok], function(f) as.numeric(logLik(f)), 0); m <- fs[ok][[which.max(ll)]]
  list(m = m, t0 = t0, note = if (sum(ok) == 2) sprintf("nlminb and optim(BFGS) logliks differ by %.1e", abs(diff(ll))) else "only one of nlminb / optim(BFGS) converged")
}
fit_clmm <- function(s) {
  f <- as.formula(s$formula, env = globalenv()); lk <- s$r_link %||% s$link; na <- s$nagq %||% 1L
  a <- list(formula = f, data = as.name("dat"), link = lk, nAGQ = na); if (!is.null(s$weights)) a$weights <- as.name(s$weights)
  t0 <- system.time(d0 <- do.call(ordinal::clmm, a))[3]
  a1 <- c(a, list(control = ordinal::clmm.control(method = "nlminb", gradTol = 1e-7, maxIter = 100, innerCtrl = "noWarn", rel.tol = 1e-14, x.tol = 1e-12, iter.max = 1000, eval.max = 2000)))
  m <- do.call(ordinal::clmm, a1); l1 <- as.numeric(logLik(m))
  st <- if (is.list(m$start)) list(unname(m$optRes$par[seq_len(m$dims$nfepar)]), unname(m$optRes$par[-seq_len(m$dims$nfepar)])) else unname(m$optRes$par)
  a2 <- a1; a2$start <- st; m2 <- tryCatch(do.call(ordinal::clmm, a2), error = function(e) NULL)
  l2 <- if (is.null(m2)) NA else as.numeric(logLik(m2)); if (!is.na(l2) && l2 > l1) m <- m2
  list(m = m, t0 = t0, note = sprintf("nlminb, tight; restart from the optimum changed loglik by %.1e; default clmm() differs by %.1e; max |gradient| %.1e", l2 - l1, as.numeric(logLik(d0)) - as.numeric(logLik(m)), max(abs(m$gradient))))
}
## independent check of clmm with one scalar random intercept: adaptive Gauss-Hermite, observed information
cum_loglik <- function(yi, K, X, gi, G, alpha, beta, sd, link, nodes) {
  Fn <- switch(link, logit = plogis, probit = pnorm, cloglog = function(x) -expm1(-exp(x))); fn <- switch(link, logit = dlogis, probit = dnorm, cloglog = function(x) ifelse(is.finite(x), exp(x - exp(x)), 0))
  gn <- switch(link, logit = function(x) { p <- plogis(x); ifelse(is.finite(x), p * (1 - p) * (1 - 2 * p), 0) }, probit = function(x) ifelse(is.finite(x), -x * dnorm(x), 0), cloglog = function(x) ifelse(is.finite(x), exp(x - exp(x)) * (1 - exp(x)), 0))
  a1 <- c(alpha, Inf)[yi]; a0 <- c(-Inf, alpha)[yi]; eta0 <- as.numeric(X %*% beta)
  jl <- function(u) { e <- eta0 + sd * u[gi]; p <- ifelse(a0 - e > 0, Fn(-(a0 - e)) * (link != "cloglog") - Fn(-(a1 - e)) * (link != "cloglog") + (Fn(a1 - e) - Fn(a0 - e)) * (link == "cloglog"), Fn(a1 - e) - Fn(a0 - e)); rowsum(log(pmax(p, 1e-300)), gi)[, 1] + dnorm(u, log = TRUE) }
  d12 <- function(u) { e <- eta0 + sd * u[gi]; p <- pmax(Fn(a1 - e) - Fn(a0 - e), 1e-300); d <- -(fn(a1 - e) - fn(a0 - e)) / p; h <- (gn(a1 - e) - gn(a0 - e)) / p - d^2; list(g = sd * rowsum(d, gi)[, 1] - u, h = sd^2 * rowsum(h, gi)[, 1] - 1) }
  u <- numeric(G); cur <- jl(u)
  for (it in 1:100) { d <- d12(u); st <- -d$g / pmin(d$h, -1e-3); k <- rep(1, G); for (hv in 1:30) { nw <- jl(u + k * st); bad <- !is.finite(nw) | nw < cur - 1e-12 * abs(cur); if (!any(bad)) break; k[bad] <- k[bad] / 2 }
    k[bad] <- 0; u <- u + k * st; cur <- jl(u); if (max(abs(k * st)) < 1e-12) break }
  s <- 1 / sqrt(-d12(u)$h); gh <- gh_nodes(nodes); M <- matrix(sapply(seq_along(gh$x), function(i) jl(u + sqrt(2) * s * gh$x[i]) + log(gh$w[i]) + gh$x[i]^2), nrow = G); mx <- apply(M, 1, max); sum(mx + log(rowSums(exp(M - mx))) + log(s) + 0.5 * log(2))
}
own_cum <- function(m, s, nodes = unique(c(s$nagq %||% 1, 31))) {
  mf <- model.frame(m); y <- mf[[1]]; yi <- as.integer(y); g <- droplevels(as.factor(mf[[names(m$gfList %||% m$dims$nlev.gf)[1] %||% names(ordinal::VarCorr(m))[1]]])); tt <- terms(lme4::nobars(formula(m)[-2])); X <- model.matrix(tt, mf)[, names(m$beta), drop = FALSE]
  a <- unname(m$alpha); b <- unname(m$beta); sd <- sqrt(ordinal::VarCorr(m)[[1]][1]); na <- length(a); nb <- length(b); p0 <- c(a, b, log(sd)); out <- list()
  for (k in nodes) { f <- function(p) { al <- p[seq_len(na)]; if (is.unsorted(al, strictly = TRUE)) return(1e10); v <- -cum_loglik(yi, na + 1, X, as.integer(g), nlevels(g), al, p[na + seq_len(nb)], exp(p[na + nb + 1]), s$link, k); if (is.finite(v)) v else 1e10 }
    p <- p0; ma <- list(r = 2, d = 2e-3, eps = 2e-3, zero.tol = 1); H <- NULL
    for (i in 1:6) { gr <- grad(f, p, method.args = ma); if (i <= 2) H <- hessian(f, p, method.args = list(r = 2, d = 1e-2, eps = 1e-2, zero.tol = 1)); st <- tryCatch(solve(H, gr), error = function(e) NULL); if (is.null(st) || f(p - st) > f(p) + 1e-9) break; p <- p - st; if (max(abs(st)) < 1e-8) break }
    V <- tryCatch(solve(H), error = function(e) NULL); se <- if (!is.null(V)) sqrt(diag(V))
    out[[if (k == 1) "laplace_observed_hessian" else paste0("agq", k)]] <- list(software = "independent R code (common.R: cum_loglik), observed information", nodes = k, loglik = -f(p), loglik_at_reported_parameters = -f(p0), thresholds = num(p[seq_len(na)]), fixef = num(p[na + seq_len(nb)]), sd = exp(p[na + nb + 1]), se = num(se[na + seq_len(nb)]), se_thresholds = num(se[seq_len(na)])) }
  out
}
rec_clmm <- function(m, s, note) {
  r <- base_rec(s); r$family <- "cumulative"; r$software <- "ordinal::clmm"; r$version <- VERS("ordinal"); ll <- logLik(m)
  r$n_obs <- nobs(m); r$loglik <- as.numeric(ll); r$n_parameters <- attr(ll, "df"); r$aic <- AIC(m); r$bic <- as.numeric(-2 * ll + attr(ll, "df") * log(nobs(m))); r$criterion <- -2 * as.numeric(ll)
  r$thresholds <- list(names = chr(names(m$alpha)), values = num(m$alpha)); r$fixef_names <- chr(names(m$beta)); r$fixef <- num(m$beta)
  V <- tryCatch(vcov(m), error = function(e) NULL); k <- length(m$alpha) + seq_along(m$beta)
  if (!is.null(V)) { r$se <- num(sqrt(diag(V))[k]); r$vcov <- mat(V[k, k, drop = FALSE]); r$thresholds$se <- num(sqrt(diag(V))[seq_along(m$alpha)]) }
  r$sigma <- NULL; vc <- ordinal::VarCorr(m); r$varcorr <- lapply(names(vc), function(g) { M <- vc[[g]]; list(group = g, names = chr(colnames(M)), sd = num(attr(M, "stddev") %||% sqrt(diag(M))), corr = mat(attr(M, "correlation") %||% stats::cov2cor(M))) })
  re <- ordinal::ranef(m, condVar = TRUE); 
  r$ranef <- lapply(re, function(x) { cv <- attr(x, "condVar"); lv <- utils::head(rownames(x), 10); list(names = chr(colnames(x)), levels = chr(lv), values = mat(utils::head(as.data.frame(x), 10)), cond_sd = if (is.numeric(cv) && is.null(dim(cv)) && length(cv) == nrow(x)) mat(matrix(sqrt(utils::head(cv, 10)))) else if (is.data.frame(cv)) mat(sqrt(utils::head(cv, 10))) else NULL) })
  r$response_levels <- chr(levels(model.frame(m)[[1]])); r$fitted_head <- head10(fitted(m)); r$fitted_note <- "P(Y = observed category | random-effect modes)"
  r$parametrization <- "link(P(Y <= j)) = threshold_j - (x beta + z b)"; r$converged <- TRUE; r$singular <- FALSE; r$note <- note; r$vcov_note <- "clmm's finite-difference Hessian: SEs good to about 4-5 digits"; if (!is.null(s$note)) r$note <- paste(note, s$note, sep = "; "); r
}
## ------------------------------------------------------------------ inference
tab <- function(a, extra = NULL) { d <- as.data.frame(a); d <- cbind(data.frame(term = rownames(d), stringsAsFactors = FALSE), d); rownames(d) <- NULL
  nm <- names(d); nm <- c(term = "term", `Sum Sq` = "sum_sq", `Mean Sq` = "mean_sq", NumDF = "num_df", DenDF = "den_df", `F value` = "F", `Pr(>F)` = "p", Estimate = "estimate", `Std. Error` = "se", df = "df", `t value` = "t", `Pr(>|t|)` = "p",
    Chisq = "chisq", `Chi Df` = "df", Df = "df", `Pr(>Chisq)` = "p", `z value` = "z", `Pr(>|z|)` = "p", npar = "npar", AIC = "aic", BIC = "bic", logLik = "loglik", deviance = "deviance", LRT = "chisq", `Pr(Chi)` = "p", F = "F", Df.res = "den_df")[nm]
  nm[is.na(nm)] <- names(d)[is.na(nm)]; names(d) <- unname(nm); rows(d) }
rows <- function(d) lapply(seq_len(nrow(d)), function(i) { r <- lapply(d, function(col) { x <- col[i]; if (is.factor(x)) as.character(x) else unname(x) }); r })
try_null <- function(e, what = "") tryCatch(suppressMessages(e), error = function(err) { message("  ! ", what, ": ", conditionMessage(err)); NULL })
## Kenward-Roger from one vcovAdj (lmerTest calls it once a contrast); same numbers as anova/summary(ddf = "Kenward-Roger")
kr_tables <- function(m) {
  Va <- pbkrtest::vcovAdj(m); V0 <- as.matrix(vcov(m)); b <- fixef(m); p <- length(b); Vm <- as.matrix(Va); I <- diag(p)
  co <- lapply(seq_len(p), function(j) { se <- sqrt(Vm[j, j]); df <- pbkrtest::Lb_ddf(I[j, ], V0, Va); t <- unname(b[j] / se); list(term = names(b)[j], estimate = unname(b[j]), se = se, df = df, t = t, p = 2 * pt(-abs(t), df)) })
  ft <- function(ty) { L <- attr(anova(m, type = ty), "hypotheses"); if (is.null(L)) L <- switch(ty, lmerTest:::get_contrasts_type1(m), lmerTest:::get_contrasts_type2(m), lmerTest:::get_contrasts_type3(m))
    lapply(names(L), function(k) { l <- as.matrix(L[[k]]); if (is.null(dim(L[[k]]))) l <- t(l); q <- qr(t(l)); l <- l[q$pivot[seq_len(q$rank)], , drop = FALSE]; a <- pbkrtest:::.KR_adjust(Va, V0, l, b, 0); list(term = k, num_df = unname(a[["ndf"]]), den_df = unname(a[["ddf"]]), F = unname(a[["Fstat"]]), p = unname(a[["p.value"]])) }) }
  list(coef = co, anova_type1 = ft(1), anova_type2 = ft(2), anova_type3 = ft(3), vcov_adj = mat(Vm))
}
inf_ddf <- function(s, kr = TRUE) {
  m <- call_lme4(s, "ctl_lmer", lt = TRUE)
  one <- function(ddf) list(coef = tab(coef(summary(m, ddf = ddf))), anova_type1 = tab(anova(m, type = 1, ddf = ddf)), anova_type2 = tab(anova(m, type = 2, ddf = ddf)), anova_type3 = tab(anova(m, type = 3, ddf = ddf)))
  o <- list(satterthwaite = try_null(one("Satterthwaite"), "satt"))
  if (kr && nobs(m) <= 1000) o$kenward_roger <- try_null(kr_tables(m), "KR")
  o$software <- paste("lmerTest", pv("lmerTest"), "/ pbkrtest", pv("pbkrtest")); o$note <- "Satterthwaite df rest on numerical derivatives (numDeriv): good to about 1e-5 relative; contr.treatment coding; lmerTest's type III are marginal (SAS-like), free of the coding"
  o
}
inf_anova_chisq <- function(m, V = NULL) {
  glmm <- inherits(m, "glmmTMB") || isGLMM(m)
  f <- function(ty, ...) { a <- if (inherits(m, "glmmTMB") || is.null(V)) car::Anova(m, type = ty, ...) else car::Anova(m, type = ty, vcov. = V, ...); tab(a) }
  o <- list(wald_chisq_type2 = try_null(f("II"), "Anova II"), wald_chisq_type3 = try_null(f("III"), "Anova III"))
  if (inherits(m, "lmerMod") && isREML(m) && nobs(m) <= 200) { o$kr_f_type2 <- try_null(tab(car::Anova(m, type = "II", test.statistic = "F")), "F"); o$kr_f_type3 <- try_null(tab(car::Anova(m, type = "III", test.statistic = "F")), "F") }
  o$software <- paste("car", pv("car")); o$note <- "type III here are tests of the contr.treatment coefficients as coded (car's convention); Wald chi-square from the vcov of the model's JSON"
  o
}
inf_drop1 <- function(m) { d <- drop1(m, test = "Chisq"); list(table = tab(d), software = paste("lme4", pv("lme4")), note = "each submodel refitted (ML) with the tight optimiser; `chisq` is the likelihood-ratio statistic on npar df; aic = AIC of the submodel") }
refine_ci <- function(m, ci, level = 0.95) {   # ci: matrix from confint(profile); bring every end point to dev - min = qchisq
  q <- qchisq(level, 1); lmm <- isLMM(m); ml <- if (lmm && isREML(m)) refitML(m, control = ctl_lmer) else m
  dmin <- -2 * as.numeric(logLik(ml)); th <- getME(ml, "theta")
  d2 <- lme4::devfun2(ml, useSc = lmm); opt <- attr(d2, "optimum"); p <- length(fixef(ml)); if (lmm) opt <- opt[seq_len(length(opt) - p)]; np <- length(opt); vp <- if (lmm) np else np - p
  base <- d2(opt); out <- ci; out[] <- NA
  isr <- grepl("^cor_", rownames(ci)); nm <- rownames(ci)
  se <- c(rep(NA, vp), sqrt(diag(as.matrix(vcov(ml)))))
  wid <- (ci[, 2] - ci[, 1]) / 4; wid[!is.finite(wid) | wid <= 0] <- 0.1
  lo <- rep(-Inf, np); up <- rep(Inf, np); iv <- seq_len(vp); lo[iv] <- ifelse(isr[iv], -1, 0); up[iv] <- ifelse(isr[iv], 1, Inf)
  prof_d2 <- function(k) { last <- opt
    function(t) { if (np == 1) return(d2(t) - base - q); oth <- setdiff(seq_len(np), k); sc <- wid[oth]
      g <- function(z) { x <- numeric(np); x[k] <- t; x[oth] <- pmin(pmax(opt[oth] + sc * z, lo[oth]), up[oth]); v <- tryCatch(d2(x), error = function(e) NA); if (!is.finite(v)) 1e10 else v }
      z0 <- (last[oth] - opt[oth]) / sc; L <- (lo[oth] - opt[oth]) / sc; U <- (up[oth] - opt[oth]) / sc
      r <- nloptr::nloptr(z0, g, lb = L, ub = U, opts = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = rep(1e-9, length(oth)), xtol_rel = 0, ftol_abs = 1e-12, maxeval = 3000))
      last[oth] <<- opt[oth] + sc * r$solution; r$objective - base - q } }
  X <- getME(ml, "X"); bars <- findbars(formula(ml)); off <- getME(ml, "offset")
  prof_fix <- function(j) { function(t) {
      d <- dat; d$.y <- getME(ml, "y") - X[, j] * t - off; w <- weights(ml); d$.w <- w; if (p > 1) d$.XR <- X[, -j, drop = FALSE]
      f <- as.formula(paste(".y ~ 0 +", if (p > 1) ".XR +" else "", paste0("(", vapply(bars, function(b) paste(deparse(b, 500), collapse = ""), ""), ")", collapse = " + "))); environment(f) <- environment()
      mm <- suppressMessages(lme4::lmer(f, data = d, weights = d$.w, REML = FALSE, control = lmerControl(optimizer = "nloptwrap", optCtrl = list(xtol_abs = 1e-9, ftol_abs = 1e-12, maxeval = 3000), calc.derivs = FALSE, boundary.tol = 0, check.rankX = "ignore", check.scaleX = "ignore"), start = th))
      -2 * as.numeric(logLik(mm)) - dmin - q } }
  for (k in seq_len(nrow(ci))) { fx <- k > vp; h <- if (fx && lmm) prof_fix(k - vp) else prof_d2(k)
    est <- if (fx && lmm) fixef(ml)[k - vp] else opt[k]
    for (side in 1:2) { e <- ci[k, side]; if (!is.finite(e)) next
      if (!fx && !isr[k] && side == 1 && e < 1e-6) { out[k, side] <- e; next }
      w <- abs(e - est); if (w < 1e-12) next
      r <- tryCatch({ a <- est + (e - est) * 0.97; b <- est + (e - est) * 1.03
        if (k <= vp) { a <- min(max(a, lo[k]), up[k]); b <- min(max(b, lo[k]), up[k]) }
        fa <- h(a); fb <- h(b); if (fa * fb > 0) { a <- est + (e - est) * 0.6; b <- est + (e - est) * 1.6; if (k <= vp) { a <- min(max(a, lo[k]), up[k]); b <- min(max(b, lo[k] + 1e-9), up[k]) }; fa <- h(a); fb <- h(b) }
        uniroot(h, sort(c(a, b)), tol = 1e-9 * w, maxiter = 100)$root }, error = function(err) NA)
      out[k, side] <- r } }
  out
}
inf_confint <- function(m, V = NULL, profile = TRUE, refine = TRUE, level = 0.95) {
  b <- fixef(m); se <- sqrt(diag(as.matrix(V %||% vcov(m)))); z <- qnorm((1 + level) / 2)
  o <- list(level = level, wald = lapply(seq_along(b), function(i) list(name = names(b)[i], estimate = unname(b[i]), lower = unname(b[i] - z * se[i]), upper = unname(b[i] + z * se[i]))))
  if (profile) { pr <- suppressWarnings(stats::profile(m, optimizer = if (length(getME(m, "theta")) == 1 && isLMM(m)) "nloptwrap" else "bobyqa", devtol = 1e-5, signames = FALSE)); ci <- suppressWarnings(confint(pr, level = level))
    rf <- if (refine) try_null(refine_ci(m, ci, level), "refine") else NULL
    o$profile <- lapply(seq_len(nrow(ci)), function(i) list(name = rownames(ci)[i], lower_lme4 = unname(ci[i, 1]), upper_lme4 = unname(ci[i, 2]), lower = if (!is.null(rf)) unname(rf[i, 1]), upper = if (!is.null(rf)) unname(rf[i, 2])))
    o$note <- "profile on the ML deviance (a REML fit is refitted by ML, lme4's convention). lower/upper: end points brought to deviance - minimum = qchisq(level, 1) by root finding (good to ~1e-6); *_lme4: confint(profile(m)) itself, spline-interpolated (~1e-5). sd_(a)|g, cor_(b).(a)|g names are lme4's; null = not found / at the boundary" }
  o$software <- paste("lme4", pv("lme4")); o
}
inf_emm <- function(m, specs) lapply(specs, function(sp) {
  f <- as.formula(sp$specs); a <- list(object = m, specs = f); if (!is.null(sp$at)) a$at <- sp$at; if (!is.null(sp$df)) a$lmer.df <- sp$df; if (!is.null(sp$type)) a$type <- sp$type; if (!is.null(sp$component)) a$component <- sp$component
  em <- suppressMessages(do.call(emmeans::emmeans, a)); pw <- emmeans::contrast(em, sp$contrast %||% "pairwise")
  cl <- function(x) { d <- as.data.frame(x); names(d) <- gsub("\\.", "_", names(d)); for (j in names(d)) { if (is.factor(d[[j]])) d[[j]] <- as.character(d[[j]]); if (is.numeric(d[[j]])) d[[j]][is.infinite(d[[j]]) & grepl("df", j)] <- NA }
    for (k in c("asymp_LCL", "lower_CL")) if (k %in% names(d)) names(d)[names(d) == k] <- "lower"; for (k in c("asymp_UCL", "upper_CL")) if (k %in% names(d)) names(d)[names(d) == k] <- "upper"; rows(d) }
  o <- list(specs = sp$specs, at = sp$at, df_method = sp$df %||% "asymptotic", type = sp$type %||% "link", emmeans = cl(summary(em, infer = c(TRUE, TRUE))),
    contrasts = list(method = sp$contrast %||% "pairwise", none = cl(summary(pw, infer = c(TRUE, TRUE), adjust = "none")), tukey = if (is.null(sp$contrast)) cl(summary(pw, infer = c(TRUE, TRUE), adjust = "tukey")), bonferroni = cl(summary(pw, infer = c(TRUE, TRUE), adjust = "bonferroni")), holm = cl(summary(pw, adjust = "holm")), sidak = cl(summary(pw, adjust = "sidak"))),
    joint_test = try_null({ j <- as.data.frame(emmeans::test(pw, joint = TRUE)); names(j) <- gsub("[. ]", "_", names(j)); names(j)[names(j) == "F_ratio"] <- "F"; for (k in names(j)) if (is.numeric(j[[k]])) j[[k]][is.infinite(j[[k]])] <- NA; rows(j) }, "joint"), software = paste("emmeans", pv("emmeans")), note = "df null = infinite (asymptotic). emmeans uses the fitting package's own vcov (for glmer: lme4's finite-difference Hessian, ~1e-4 relative); numeric covariates are held at their mean over the rows, factors averaged with equal weights")
  o })
inf_predict <- function(m, nd, s, V = NULL) {
  ndj <- lapply(nd, function(x) if (is.factor(x)) chr(x) else I(x)); o <- list(newdata = ndj)
  for (j in names(nd)) if (is.character(nd[[j]]) && !is.null(s$categorical[[j]])) nd[[j]] <- factor(nd[[j]], levels = s$categorical[[j]])
  if (inherits(m, "glmmTMB")) {
    p <- function(...) predict(m, newdata = nd, allow.new.levels = TRUE, ...)
    a <- p(type = "link", se.fit = TRUE); b <- p(type = "link", re.form = NA, se.fit = TRUE); c1 <- p(type = "response"); d <- p(type = "response", re.form = NA, se.fit = TRUE)
    o$conditional_link <- num(a$fit); o$conditional_link_se <- num(a$se.fit); o$population_link <- num(b$fit); o$population_link_se <- num(b$se.fit); o$conditional_response <- num(c1); o$population_response <- num(d$fit); o$population_response_se <- num(d$se.fit)
    if (!is.null(s$zi)) { o$conditional_mean <- num(p(type = "conditional")); o$zprob <- num(p(type = "zprob")) }
    o$note <- "glmmTMB: population = random effects set to 0; conditional_link_se include the uncertainty of the random effects; new levels get 0"
  } else {
    o$conditional_link <- num(predict(m, nd, allow.new.levels = TRUE, type = "link")); o$conditional_response <- num(predict(m, nd, allow.new.levels = TRUE, type = "response"))
    o$population_link <- num(predict(m, nd, re.form = NA, type = "link")); o$population_response <- num(predict(m, nd, re.form = NA, type = "response"))
    tt <- delete.response(terms(m, fixed.only = TRUE)); Xn <- model.matrix(tt, nd, xlev = lapply(Filter(is.factor, model.frame(m, fixed.only = TRUE)), levels), contrasts.arg = attr(getME(m, "X"), "contrasts"))[, names(fixef(m)), drop = FALSE]
    V <- if (isGLMM(m)) (V %||% as.matrix(vcov(m))) else as.matrix(vcov(m)); o$population_link_se <- num(sqrt(rowSums((Xn %*% V) * Xn)))
    o$note <- "population = re.form=NA; its SE = sqrt(x' vcov x) with the vcov of the model's JSON; new levels of a grouping factor get random effect 0 (allow.new.levels=TRUE)"
  }
  o
}
inf_r2 <- function(m) { r <- try_null(performance::r2_nakagawa(m), "r2"); i <- try_null(performance::icc(m), "icc"); v <- try_null(insight::get_variance(m), "var")
  list(r2_conditional = unname(r$R2_conditional), r2_marginal = unname(r$R2_marginal), icc_adjusted = unname(i$ICC_adjusted), icc_unadjusted = unname(i$ICC_unadjusted %||% i$ICC_conditional),
    variance = lapply(v[intersect(names(v), c("var.fixed", "var.random", "var.residual", "var.distribution", "var.dispersion", "var.intercept", "var.slope", "cor.slope_intercept"))], function(x) if (length(x) > 1) as.list(x) else unname(x)), software = paste0("performance ", pv("performance"), ", insight ", pv("insight"))) }

## ------------------------------------------------------------------ helpers
gd <- function(p, n) { e <- new.env(); data(list = n, package = p, envir = e); as.data.frame(get(n, e)) }
pf <- function(p, x) paste0(p, as.character(x))
pfn <- function(p, x, w = 2) { i <- as.integer(as.character(x)); paste0(p, formatC(i, width = w, flag = "0", format = "d")) }
NC <- "non-canonical link: glmer's Laplace uses the expected (Fisher) information, glmmTMB and crosscheck/laplace_observed_hessian the observed one; the two logliks differ"
GM <- "glmer's objective for families with a free dispersion is not the Laplace likelihood (it takes the dispersion from the deviance and leaves the random effects on the unit scale): compare with glmmTMB's file of the same data or crosscheck/laplace_observed_hessian, crosscheck/agq41, which are the true ones"
addT <- function(id, data, formula, family = "gaussian", link = "identity", method = "laplace", ...) add(id, data, formula, family = family, link = link, method = method, engine = "glmmTMB", ...)
addG <- function(id, data, formula, family = "binomial", link = switch(family, binomial = "logit", "log"), method = if (nagq > 1) "agq" else "laplace", nagq = 1, ...) add(id, data, formula, family = family, link = link, method = method, nagq = nagq, ...)
addN <- function(id, data, formula, call_text, fun, gls = FALSE, ...) add(id, data, formula, engine = "nlme", call_text = call_text, fun = fun, gls = gls, ...)
rec_rma <- function(m, s, note = NULL) { r <- base_rec(s); r$software <- paste0("metafor::", class(m)[1]); r$version <- VERS("metafor"); r$n_obs <- m$k; r$vi <- "vi"
  ll <- tryCatch(logLik(m), error = function(e) NULL); if (!is.null(ll)) { r$loglik <- as.numeric(ll); r$n_parameters <- attr(ll, "df"); r$aic <- tryCatch(as.numeric(AIC(m)), error = function(e) NULL); r$bic <- tryCatch(as.numeric(BIC(m)), error = function(e) NULL); r$criterion <- -2 * as.numeric(ll) }
  r$fixef_names <- chr(rownames(m$b)); r$fixef <- num(m$b); r$se <- num(m$se); r$vcov <- mat(m$vb); r$statistic <- num(m$zval); r$p <- num(m$pval); r$ci_lower <- num(m$ci.lb); r$ci_upper <- num(m$ci.ub); r$test <- m$test; if (m$test != "z") r$ddf <- num(m$ddf)
  if (inherits(m, "rma.uni")) { r$tau2 <- m$tau2; r$se_tau2 <- if (is.finite(m$se.tau2 %||% NA)) m$se.tau2; r$i2 <- m$I2; r$h2 <- m$H2; if (!is.null(m$R2)) r$r2 <- m$R2 }
  r$qe <- m$QE; r$qe_p <- m$QEp; r$qe_df <- m$k - m$p; if (m$p > 1) { r$qm <- m$QM; r$qm_p <- m$QMp; r$qm_df <- num(m$QMdf[is.finite(m$QMdf)]) }
  if (inherits(m, "rma.mv")) { r$sigma2 <- num(m$sigma2); r$sigma2_names <- chr(m$s.names) }
  if (m$p == 1) { p <- tryCatch(predict(m), error = function(e) NULL); if (!is.null(p)) { r$prediction_lower <- p$pi.lb; r$prediction_upper <- p$pi.ub } }
  ci <- if (inherits(m, "rma.uni")) tryCatch(suppressWarnings(confint(m)), error = function(e) NULL) else NULL; if (!is.null(ci) && !is.null(ci$random)) r$tau2_ci <- list(tau2_lower = ci$random["tau^2", "ci.lb"], tau2_upper = ci$random["tau^2", "ci.ub"], i2_lower = ci$random["I^2(%)", "ci.lb"], i2_upper = ci$random["I^2(%)", "ci.ub"], method = "Q-profile (metafor confint); its root finding is good to ~1e-4")
  if (inherits(m, "rma.uni") && !m$method %in% c("FE", "EE")) { b <- metafor::blup(m); r$blup <- list(pred = num(b$pred), se = num(b$se)) }
  r$converged <- TRUE; r$singular <- isTRUE(m$tau2 == 0) || (inherits(m, "rma.mv") && any(m$sigma2 < 1e-8)); r$note <- paste(c(note, s$note), collapse = "; "); r }
meta <- function(id, data, meth, mods = NULL, test = "z", ...) add(id, data, formula = if (is.null(mods)) "yi ~ 1" else paste("yi", paste(mods, collapse = "")), method = tolower(meth), kind = "meta", engine = "custom", ..., run = function(s) {
  a <- list(yi = quote(yi), vi = quote(vi), data = quote(dat), method = meth, test = test); if (!is.null(mods)) a$mods <- as.formula(mods)
  t0 <- system.time(do.call(metafor::rma, a))[["elapsed"]]; it <- meth %in% c("REML", "ML", "EB", "PM"); if (it) a$control <- list(threshold = 1e-13, maxiter = 10000, tol = 1e-13); m <- do.call(metafor::rma, a)
  list(r = rec_rma(m, s, c(if (it) "iterated to 1e-13" else "closed form", if (test != "z") paste("test =", test))), m = m, t0 = t0, fun = "metafor::rma") })
meta_mv <- function(id, data, formula, random, meth = "REML", mods = NULL, ...) add(id, data, formula = formula, method = tolower(meth), kind = "meta", engine = "custom", ..., run = function(s) {
  a <- list(yi = quote(yi), V = quote(vi), data = quote(dat), method = meth, random = random); if (!is.null(mods)) a$mods <- as.formula(mods); t0 <- system.time(m0 <- do.call(metafor::rma.mv, a))[["elapsed"]]
  a$control <- list(rel.tol = 1e-12, iter.max = 1000, eval.max = 1000); m <- do.call(metafor::rma.mv, a); b <- a; b$control <- list(optimizer = "bobyqa", rhobeg = .1, rhoend = 1e-11, maxfun = 10000); m2 <- try_null(do.call(metafor::rma.mv, b), "bobyqa")
  nt <- sprintf("nlminb and bobyqa logliks differ by %.1e", if (is.null(m2)) NA else abs(as.numeric(logLik(m)) - as.numeric(logLik(m2)))); if (!is.null(m2) && logLik(m2) > logLik(m)) m <- m2
  list(r = rec_rma(m, s, nt), m = m, t0 = t0, fun = "metafor::rma.mv") })
## glmer.nb: outer search over log(theta), inner tight glmer
fit_glmernb <- function(s) {
  f <- as.formula(s$formula, env = globalenv())
  t0 <- system.time(d0 <- suppressWarnings(suppressMessages(lme4::glmer.nb(f, data = dat))))[["elapsed"]]
  th0 <- getME(d0, "glmer.nb.theta"); assign("TH", th0, globalenv())
  fitth <- function(lt, ctl) { assign("TH", exp(lt), globalenv()); suppressWarnings(suppressMessages(glmer(f, data = dat, family = MASS::negative.binomial(theta = TH), control = ctl))) }
  ctlq <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-8), tolPwrss = 1e-11, calc.derivs = FALSE, boundary.tol = 0)
  o <- optimize(function(lt) -as.numeric(logLik(fitth(lt, ctlq))), log(th0) + c(-.2, .2), tol = 1e-6)
  h <- 0.02; v <- sapply(c(-h, 0, h), function(e) -as.numeric(logLik(fitth(o$minimum + e, ctlq)))); lt <- o$minimum + h * (v[1] - v[3]) / (2 * (v[1] - 2 * v[2] + v[3]))
  m <- fitth(lt, ctl_glmer); A <- AGREE$last; r <- rec_mer(m, s, A); r$nb_theta <- exp(lt); r$software <- "lme4::glmer.nb (theta by a tighter outer search)"
  r$n_parameters <- attr(logLik(d0), "df"); r$aic <- -2 * r$loglik + 2 * r$n_parameters; r$bic <- -2 * r$loglik + log(r$n_obs) * r$n_parameters
  r$note <- paste0(r$note, sprintf("; glmer.nb() itself: theta %.8g, loglik lower by %.1e; vcov is conditional on theta", th0, r$loglik - as.numeric(logLik(d0))), "; NB2 with log link is non-canonical: glmer's Laplace uses the expected information, so loglik and estimates differ from glmmTMB's nbinom2")
  s2 <- s; s2$family <- "nbinom2"; s2$theta0 <- exp(lt); r$crosscheck <- list(glmmTMB = try_null(cross_tmb(s2, r), "x"))
  if (isTRUE(s$own)) r$crosscheck <- c(r$crosscheck, try_null(own_agq(s2, m, c(1, 25)), "own"))
  list(r = r, m = m, t0 = t0, fun = "lme4::glmer.nb")
}
## ------------------------------------------------------------------ runner
FILTER <- commandArgs(TRUE)[1]; if (is.na(FILTER)) FILTER <- "."
SPECS <- list(); SET <- NULL
STATUS <- list()
fork_run <- function(expr_fun, cap) {
  j <- parallel::mcparallel(expr_fun(), mc.set.seed = FALSE); t0 <- Sys.time(); res <- NULL
  repeat { r <- parallel::mccollect(j, wait = FALSE, timeout = 1); if (!is.null(r)) { res <- r[[1]]; break }
    if (as.numeric(Sys.time() - t0, units = "secs") > cap) { tools::pskill(j$pid, tools::SIGKILL); parallel::mccollect(j); res <- structure("timed out", class = "try-error"); break } }
  res
}
setup_dat <- function(s) { d <- read_data(SET, s$data, s$categorical %||% list()); if (!is.null(s$prep)) d <- s$prep(d); assign("dat", d, envir = globalenv()) }
jfile <- function(id, sub = NULL) file.path(ROOT, SET, sub %||% "", paste0(id, ".json"))
fit_spec <- function(s) {                # returns list(rec, m, timing)
  if (isTRUE(s$light)) LIGHT <<- TRUE
  eng <- s$engine %||% "lme4"
  if (eng == "lme4") {
    gl <- (s$family %||% "gaussian") != "gaussian"
    t0 <- system.time(d0 <- tryCatch(suppressWarnings(suppressMessages(call_lme4(s))), error = function(e) NULL))[["elapsed"]]
    m <- if (!gl) suppressMessages(call_lme4(s, "ctl_lmer")) else { m <- NULL
      for (tl in c(1e-14, 1e-12, 1e-11, 1e-9)) { ctl_glmer <<- glmerControl(optimizer = c("bobyqa", "polish_opt"), boundary.tol = 0, tolPwrss = tl, check.scaleX = "ignore"); m <- tryCatch(suppressMessages(call_lme4(s, "ctl_glmer")), error = function(e) { message("  tolPwrss ", tl, ": ", conditionMessage(e)); NULL }); if (!is.null(m)) break }
      if (is.null(m)) stop("glmer failed at every tolPwrss"); m }
    A <- AGREE$last; r <- rec_mer(m, s, A); if (gl) r$note <- paste0(r$note, "; tolPwrss ", tl)
    r$note <- if (is.null(d0)) paste0(r$note, "; R's default fit stops with an error") else sprintf("%s; R's default fit has loglik lower by %.1e", r$note, as.numeric(logLik(m)) - as.numeric(logLik(d0)))
    if (gl && (s$nagq %||% 1) > 1) { r$loglik_note <- "lme4's logLik for nAGQ > 1 leaves out a constant of the data; compare loglik differences, or use crosscheck/agq* for the full value" }
    cc <- list(); if (!isTRUE(s$nocross) && !isTRUE(s$light) && (s$nagq %||% 1) == 1 && nobs(m) <= 3500 && !(gl && s$family %in% c("inverse.gaussian"))) cc$glmmTMB <- try_null(cross_tmb(s, r), "cross")
    if (isTRUE(s$own)) cc <- c(cc, try_null(own_agq(s, m, s$own_nodes %||% c(1, 41)), "own"))
    if (length(cc)) r$crosscheck <- cc
    return(list(r = r, m = m, t0 = t0, fun = if (gl) "lme4::glmer" else "lme4::lmer", V = if (gl) glmer_full_vcov()$beta))
  }
  if (eng == "glmmTMB") {
    t0 <- system.time(d0 <- suppressWarnings(suppressMessages(call_tmb(s))))[["elapsed"]]
    m <- suppressMessages(call_tmb(s, if (isTRUE(s$light)) "ctl_tmbx" else "ctl_tmb")); A <- TMBA$last; r <- rec_tmb(m, s, A)
    if (isTRUE(s$light)) r$note <- sub("two optimizers (nlminb, BFGS): negative loglik differ by", "nlminb only (BFGS left out, too slow); Newton steps after it changed the negative loglik by", r$note, fixed = TRUE)
    r$note <- sprintf("%s; R's default fit has loglik lower by %.1e", r$note, as.numeric(logLik(m)) - as.numeric(logLik(d0)))
    if (isTRUE(s$own)) r$crosscheck <- try_null(own_agq(s, m, s$own_nodes %||% c(1, 41)), "own")
    return(list(r = r, m = m, t0 = t0, fun = "glmmTMB::glmmTMB", V = NULL))
  }
  if (eng == "nlme") { z <- fit_nlme(s); r <- rec_nlme(z$m, s, z$note); return(list(r = r, m = z$m, t0 = z$t0, fun = r$software)) }
  if (eng == "clmm") { z <- fit_clmm(s); r <- rec_clmm(z$m, s, z$note); if (length(ordinal::VarCorr(z$m)) == 1 && length(ordinal::VarCorr(z$m)[[1]]) == 1) r$crosscheck <- try_null(own_cum(z$m, s), "clmm cross"); return(list(r = r, m = z$m, t0 = z$t0, fun = "ordinal::clmm")) }
  if (eng == "custom") return(s$run(s))
  stop("engine")
}
inference <- function(s, z) {
  if (!length(s$inf) && !length(s$emm)) return(NULL)
  o <- list(id = s$id, model = paste0(s$id, ".json"), data = DATA[[s$data]]$file, categorical = lapply(s$categorical %||% setNames(list(), character()), chr), formula = s$formula, family = s$family %||% "gaussian", link = s$link %||% "identity", method = s$method %||% "ml")
  m <- z$m; if ("ddf" %in% s$inf) o$ddf <- try_null(inf_ddf(s), "ddf")
  if ("anova" %in% s$inf) o$anova <- try_null(inf_anova_chisq(m, z$V), "anova")
  if ("r2" %in% s$inf) o$r2 <- try_null(inf_r2(m), "r2")
  if ("predict" %in% s$inf) o$predict <- try_null(inf_predict(m, s$newdata, s, z$V), "predict")
  if (!is.null(s$emm)) o$emmeans <- try_null(inf_emm(m, s$emm), "emmeans")
  if ("drop1" %in% s$inf) o$drop1 <- try_null(inf_drop1(m), "drop1")
  if ("wald" %in% s$inf) o$confint <- try_null(inf_confint(m, z$V, profile = FALSE), "confint")
  if ("confint" %in% s$inf) o$confint <- try_null(inf_confint(m, z$V, refine = !isTRUE(s$norefine)), "confint")
  if ("wald_tmb" %in% s$inf) o$confint <- try_null({ ci <- confint(m, method = "wald", full = FALSE); list(level = .95, wald = lapply(seq_len(nrow(ci)), function(i) list(name = rownames(ci)[i], estimate = ci[i, 3], lower = ci[i, 1], upper = ci[i, 2])), software = paste("glmmTMB", pv("glmmTMB"))) }, "wald_tmb")
  o
}
add <- function(id, data, formula, ...) { s <- list(id = id, data = data, formula = formula, ...); if (is.null(s$kind)) s$kind <- if ((s$engine %||% "lme4") == "lme4") (if ((s$family %||% "gaussian") == "gaussian") "lmm" else "glmm") else (s$engine)
  stopifnot(is.null(SPECS[[id]])); SPECS[[id]] <<- s; invisible() }
TF <- function() file.path(ROOT, paste0("timing_", SET, ".csv"))
log_timing <- function(id, fun, t) { dir.create(file.path(ROOT, ".timing"), showWarnings = FALSE); writeLines(sprintf("%s,%s,%.3f", id, fun, t), file.path(ROOT, ".timing", paste0(SET, "__", id))) }
log_timing_old <- function(id, fun, t) { f <- TF(); old <- if (file.exists(f)) read.csv(f, stringsAsFactors = FALSE) else data.frame(id = character(), r_function = character(), elapsed_s = numeric())
  old <- old[old$id != id, ]; write.csv(rbind(old, data.frame(id = id, r_function = fun, elapsed_s = round(t, 3))), f, row.names = FALSE, quote = FALSE) }
run_all <- function() {
  ids <- grep(FILTER, names(SPECS), value = TRUE); pt <- as.integer(strsplit(Sys.getenv("REF_PART", "1/1"), "/")[[1]])
  for (id in ids[seq_along(ids) %% pt[2] == pt[1] %% pt[2]]) { s <- SPECS[[id]]      # REF_PART=k/n: every n-th model
    if (nzchar(Sys.getenv("REF_SKIP_DONE")) && file.exists(jfile(id)) && (!(length(s$inf) || length(s$emm)) || file.exists(jfile(id, "inference")))) next      # resume an interrupted run
    if (nzchar(Sys.getenv("REF_SKIP_DONE"))) { lk <- file.path(ROOT, ".locks", paste0(SET, "__", id)); dir.create(dirname(lk), showWarnings = FALSE); if (!dir.create(lk, showWarnings = FALSE)) next }   # several processes side by side share the list
    message(format(Sys.time(), "%H:%M:%S "), id)
    res <- fork_run(function() { set.seed(1); setup_dat(s); z <- fit_spec(s); to_json(z$r, jfile(id)); list(ok = TRUE, t0 = z$t0, fun = z$fun,
        inf = tryCatch({ o <- inference(s, z); if (!is.null(o)) to_json(o, jfile(id, "inference")); TRUE }, error = function(e) conditionMessage(e))) }, CAP * (if (length(s$inf) || length(s$emm)) 2 else 1))
    if (inherits(res, "try-error") || is.null(res$ok)) { message("  FAILED: ", paste(as.character(res), collapse = " ")); STATUS[[id]] <<- "failed" }
    else { log_timing(id, res$fun, res$t0); if (!isTRUE(res$inf)) message("  inference failed: ", res$inf); STATUS[[id]] <<- "ok" } }
}
run_lrt <- function(name, ids) {
  if (!grepl(FILTER, paste0("lrt_", name))) return(invisible()); message("lrt ", name)
  res <- fork_run(function() { setup_dat(SPECS[[ids[1]]]); ms <- lapply(ids, function(i) { s <- SPECS[[i]]; s$method <- if ((s$engine %||% "lme4") == "lme4" && (s$family %||% "gaussian") == "gaussian") "ml" else s$method; if ((s$engine %||% "lme4") == "lme4") suppressMessages(call_lme4(s, if ((s$family %||% "gaussian") == "gaussian") "ctl_lmer" else "ctl_glmer")) else call_tmb(s, "ctl_tmb") })
    names(ms) <- ids; e <- list2env(ms); a <- eval(as.call(c(list(as.name("anova")), lapply(ids, as.name))), e)
    d <- as.data.frame(a); if ("Chi Df" %in% names(d)) names(d)[names(d) == "Df"] <- "npar"; t <- tab(d); for (i in seq_along(t)) { k <- match(t[[i]]$term, ids); t[[i]]$formula <- SPECS[[ids[k]]]$formula }
    to_json(list(id = paste0("lrt_", name), models = chr(ids), data = DATA[[SPECS[[ids[1]]]$data]]$file, table = t, software = "anova() of lme4 / glmmTMB", note = "ML fits with the tight optimiser (lmer models are taken by ML whatever the model's own JSON says); rows in order of npar; p from chi-square on the difference of npar, no boundary correction"), jfile(paste0("lrt_", name), "inference")); TRUE }, CAP)
  if (!isTRUE(res)) { message("  FAILED ", paste(as.character(res), collapse = " ")); STATUS[[paste0("lrt_", name)]] <<- "failed" }
}
finish <- function() {
  fs <- sort(list.files(file.path(ROOT, ".timing"), full.names = TRUE)); writeLines(c("set,id,r_function,elapsed_s", paste0(sub("__.*", "", basename(fs)), ",", vapply(fs, readLines, ""))), file.path(ROOT, "TIMING.csv"))
  idx <- do.call(rbind, lapply(SPECS, function(s) data.frame(id = s$id, kind = s$kind, data = DATA[[s$data]]$file, engine = s$engine %||% "lme4", written = file.exists(jfile(s$id)), inference = file.exists(jfile(s$id, "inference")))))
  write.csv(idx, file.path(ROOT, SET, "INDEX.csv"), row.names = FALSE, quote = FALSE)
  bad <- names(STATUS)[unlist(STATUS) != "ok"]; message("failed: ", paste(bad, collapse = " "))
}
