# Engine: glmmTMB. Variants: default (with standard errors) and nose (without).
local({
  script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  source(file.path(dirname(script), "protocol.R"), local = globalenv())
})

serve("glmmTMB", function(task, frame) {
  library(glmmTMB)
  formula <- as.formula(task$formula_r)
  family <- switch(task$family,
    binomial = binomial(task$link), poisson = poisson(task$link), gamma = Gamma(task$link),
    gaussian = gaussian(task$link), beta = beta_family(task$link),
    nbinom1 = nbinom1(task$link), nbinom2 = nbinom2(task$link)
  )
  inflation <- as.formula(if (is.null(task$zero_inflation)) "~ 0" else task$zero_inflation)
  errors <- arguments$variant == "default"
  list(fit = function() {
    fitted <- glmmTMB(formula, frame, family = family, ziformula = inflation, se = errors,
                      REML = task$method == "reml")
    list(
      objective = 2 * fitted$fit$objective, criterion = task$method,
      converged = fitted$fit$convergence == 0
    )
  })
})
