# Engine: lme4's glmer and glmer.nb. Variants: default, and bobyqa (no derivative check).
# With a link that is not canonical lme4 uses the expected information in the determinant, and
# with a free scale its number is not a Laplace likelihood: neither compares with "laplace".
local({
  script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  source(file.path(dirname(script), "protocol.R"), local = globalenv())
})

serve("lme4", function(task, frame) {
  library(lme4)
  if (task$method != "laplace") unsupported("generalised models only; see lme4")
  if (!is.null(task$zero_inflation)) unsupported("no zero inflation")
  formula <- as.formula(task$formula_r)
  family <- switch(task$family,
    binomial = binomial(task$link), poisson = poisson(task$link), gamma = Gamma(task$link),
    gaussian = gaussian(task$link), nbinom2 = "nbinom2",
    unsupported(paste("no family", task$family))
  )
  canonical <- paste(task$family, task$link) %in% c("binomial logit", "poisson log")
  criterion <- if (canonical) "laplace"
               else if (task$family %in% c("gamma", "gaussian")) "lme4's own"
               else "laplace, expected information"
  control <- if (arguments$variant == "default") glmerControl()
             else glmerControl(optimizer = "bobyqa", calc.derivs = FALSE)
  list(fit = function() {
    fitted <- if (identical(family, "nbinom2")) glmer.nb(formula, frame, control = control)
              else glmer(formula, frame, family = family, control = control)
    list(
      objective = -2 * as.numeric(logLik(fitted)), criterion = criterion,
      converged = fitted@optinfo$conv$opt == 0
    )
  })
})
