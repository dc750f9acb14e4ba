#include "cmunet/image/image.h"
