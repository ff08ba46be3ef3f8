# Reference values of tests/test_structures.py: nlme 3.1-162 and glmmTMB 1.1.5 on R 4.2.2.
# points.csv: six exponential fields of 25 points; counts.csv: 25 autoregressive groups of counts.
# sleep.csv: the package's `sleepstudy`.
library(nlme)
library(glmmTMB)

show <- function(name, model) {
  cat(name, format(c(logLik(model), coef(model), sigma(model)), digits = 12),
      format(coef(model$modelStruct$corStruct, unconstrained = FALSE), digits = 10), "\n")
}
control <- glsControl(msTol = 1e-12, tolerance = 1e-12, msMaxIter = 500, maxIter = 500)
sleep <- read.csv("sleep.csv")
points <- read.csv("points.csv")
for (method in c("ML", "REML")) for (kind in c("corExp", "corGaus")) {
  within <- get(kind)(c(5, 0.1), form = ~ days | subject, nugget = TRUE)
  show(paste(kind, method),
       gls(reaction ~ days, sleep, correlation = within, method = method, control = control))
}
show("corAR1", gls(reaction ~ days, sleep, correlation = corAR1(form = ~ days | subject),
                   method = "ML", control = control))
for (kind in c("corExp", "corGaus")) {
  plane <- get(kind)(c(2, 0.1), form = ~ x + y | g, nugget = TRUE)
  show(paste("points", kind),
       gls(z ~ x, points, correlation = plane, method = "ML", control = control))
}

report <- function(name, model) {
  cat(name, format(c(logLik(model), fixef(model)$cond, sqrt(diag(vcov(model)$cond)),
                     sigma(model), attr(VarCorr(model)$cond[[1]], "stddev")[1]), digits = 15), "\n")
}
points$pos <- numFactor(points$x, points$y)
report("points mat", glmmTMB(z ~ x + mat(0 + pos | g), points))
counts <- read.csv("counts.csv")
counts$occasion <- factor(counts$day)
counts$t <- numFactor(counts$day)
report("counts ar1", glmmTMB(n ~ day + ar1(0 + occasion | g), counts, family = poisson))
report("counts ou", glmmTMB(n ~ day + ou(0 + t | g), counts, family = poisson))
report("counts cs", glmmTMB(n ~ day + cs(0 + occasion | g), counts, family = poisson))
